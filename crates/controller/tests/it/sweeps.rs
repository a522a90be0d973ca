//! Sweeps of several pages: all of it is as old as the question for the first one.

use holdfast_cloud::Notice;
use holdfast_controller::{Effect, Fleet, FleetConfig, Input};
use holdfast_model::facts::{Fact, Health, InstanceFact, InstanceState, Page, Query, ResourceKind};
use holdfast_model::time::SECOND;
use holdfast_model::{
    CloudError, ErrorClass, ImageId, Installation, InstanceId, Lifecycle, Shared, Time, Zone, tags,
};

/// A fleet without nodes, and what it wants to know.
struct Looking {
    fleet: Fleet,
    now: Time,
    asked: Vec<(u64, Query)>,
}

impl Looking {
    fn new() -> Looking {
        let fleet = Fleet::new(FleetConfig::ec2(Installation::from("us")));
        let mut looking = Looking { fleet, now: Time(10 * SECOND), asked: Vec::new() };
        looking.take(Input::Loaded(Vec::new()));
        looking
    }

    fn take(&mut self, input: Input) {
        for effect in self.fleet.handle(self.now, input) {
            if let Effect::Observe { id, query } = effect {
                self.asked.push((id, query));
            }
        }
    }

    /// Time passes.
    fn pass(&mut self, millis: u64) {
        self.now = self.now.plus(millis);
        self.take(Input::Tick);
    }

    /// The question for a page of a sweep that was asked last.
    fn question(&mut self, kind: ResourceKind) -> (u64, Query) {
        let is_it = |(_, query): &(u64, Query)| query.kind == kind && query.ids.is_empty();
        let at = self.asked.iter().position(is_it);
        self.asked.remove(at.unwrap_or_else(|| panic!("{kind:?} is not asked for")))
    }

    /// It is answered so; returns which page it was.
    fn answer(&mut self, kind: ResourceKind, result: Result<Page, CloudError>) -> Option<String> {
        let (id, query) = self.question(kind);
        self.take(Input::Observed(id, result));
        query.page
    }

    fn swept(&self, kind: ResourceKind) -> Option<Time> {
        self.fleet.world().swept(kind)
    }
}

fn page(facts: Vec<Fact>, next: Option<&str>) -> Result<Page, CloudError> {
    Ok(Page { facts, next: next.map(str::to_owned) })
}

fn unreachable() -> Result<Page, CloudError> {
    Err(CloudError {
        class: ErrorClass::Unreachable,
        code: "Unreachable".to_owned(),
        message: String::new(),
    })
}

#[test]
fn a_sweep_of_any_kind_is_as_old_as_the_question_for_its_first_page() {
    for kind in ResourceKind::ALL {
        let mut looking = Looking::new();
        let began = looking.now;
        looking.pass(SECOND);
        assert_eq!(looking.answer(kind, page(Vec::new(), Some("b"))), None);
        assert_eq!(looking.swept(kind), None, "{kind:?}: it is not complete");
        looking.pass(SECOND);
        // A page that fails is asked for again, and only that one.
        assert_eq!(looking.answer(kind, unreachable()).as_deref(), Some("b"));
        looking.pass(2 * SECOND);
        assert_eq!(looking.answer(kind, page(Vec::new(), Some("c"))).as_deref(), Some("b"));
        looking.pass(SECOND);
        assert_eq!(looking.answer(kind, page(Vec::new(), None)).as_deref(), Some("c"));
        assert_eq!(looking.swept(kind), Some(began), "{kind:?}");
    }
}

fn instance(interruption_at: Option<Time>) -> Fact {
    Fact::Instance(Shared::from(InstanceFact {
        id: InstanceId::from("i-9"),
        state: InstanceState::Running,
        reason: None,
        instance_type: "m5.large".to_owned(),
        zone: Zone::from("z"),
        lifecycle: Lifecycle::Spot,
        image: ImageId::from("ami-1"),
        launched_at: Time(1),
        private_ip: None,
        interface: None,
        root_device: "/dev/xvda".to_owned(),
        attachments: Vec::new(),
        health: Health::Ok,
        health_why: None,
        no_successor: None,
        interruption_at,
        drained: false,
        tags: [(tags::INSTALLATION, "us"), (tags::NODE, "smi-1")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    }))
}

#[test]
fn what_a_later_page_shows_is_taken_to_be_as_old_as_the_first() {
    let mut looking = Looking::new();
    let kind = ResourceKind::Instance;
    looking.answer(kind, page(vec![instance(None)], Some("b")));
    looking.pass(SECOND);
    // Between two pages the instance is looked at, for it has got its notice.
    let interruption_at = Some(Time(200 * SECOND));
    let id = InstanceId::from("i-9");
    looking.take(Input::Noticed(Notice { instance: id, interruption_at }));
    looking.pass(SECOND);
    let look = looking.asked.iter().position(|(_, query)| query.ids == ["i-9"]).expect("a look");
    let (id, _) = looking.asked.remove(look);
    looking.take(Input::Observed(id, page(vec![instance(interruption_at)], None)));
    // The question for the second page fails, and is asked again: after that look.
    looking.answer(kind, unreachable());
    looking.pass(SECOND);
    looking.answer(kind, page(vec![instance(None)], None));
    let seen = looking.fleet.world().instance("i-9").present().expect("it is seen");
    assert_eq!(seen.interruption_at, interruption_at, "the sweep began before that look");
}
