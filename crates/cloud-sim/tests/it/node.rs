//! A node led by hand, call by call, as a right or a wrong controller would.

use holdfast_cloud_sim::config::{IMAGE, ROOT_DEVICE, SimConfig, market};
use holdfast_cloud_sim::{SimCloud, Violation};
use holdfast_model::command::{Launch, Mount};
use holdfast_model::facts::{Fact, InstanceState, SnapshotState, VolumeState};
use holdfast_model::tags::{self, Tags};
use holdfast_model::{
    CloudError, Command, ErrorClass, ImageId, InstanceId, InterfaceId, Lifecycle, Market, NodeId,
    Reply, SnapshotId, Time, Token, VolumeId,
};

/// The data volume's device name.
pub const DATA: &str = "/dev/xvdb";
/// How long anything may take, in steps.
const MOST_STEPS: u32 = 100_000;
/// Milliseconds of a step.
const STEP: u64 = 10;

/// One node in a prompt cloud.
pub struct Hand {
    pub cloud: SimCloud,
    pub now: Time,
    pub node: NodeId,
    tokens: u32,
}

impl Hand {
    pub fn new(config: SimConfig) -> Hand {
        let mut cloud = SimCloud::new(7, config);
        let node = NodeId::from("smi-0000000a");
        cloud.truth_mut().expect(&node, [ROOT_DEVICE, DATA]);
        cloud.truth_mut().expect_address(&node);
        Hand { cloud, now: Time(1_000), node, tokens: 0 }
    }

    pub fn here() -> Market {
        market("m5.large", "sim-1a", Lifecycle::Spot)
    }

    pub fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(format!("t-{}", self.tokens))
    }

    pub fn tags(&self, role: &str) -> Tags {
        Tags::from([
            (tags::INSTALLATION.to_owned(), "hand".to_owned()),
            (tags::NODE.to_owned(), self.node.to_string()),
            (tags::ROLE.to_owned(), role.to_owned()),
        ])
    }

    pub fn pass(&mut self, millis: u64) {
        self.now = self.now.plus(millis);
        self.cloud.advance(self.now);
    }

    pub fn call(&mut self, command: Command) -> Result<Reply, CloudError> {
        self.cloud.call(self.now, command).result
    }

    /// Repeats a call until it is definitely answered.
    pub fn must(&mut self, command: Command) -> Reply {
        for _ in 0..MOST_STEPS {
            match self.call(command.clone()) {
                Ok(reply) => return reply,
                Err(e) if e.class.is_definite() => panic!("{command:?}: {e}"),
                Err(_) => self.pass(STEP),
            }
        }
        panic!("{command:?}: never done");
    }

    pub fn refused(&mut self, command: Command) -> (ErrorClass, String) {
        match self.call(command.clone()) {
            Err(e) => (e.class, e.code),
            Ok(reply) => panic!("{command:?} made {reply:?}"),
        }
    }

    pub fn until(&mut self, id: &str, test: impl Fn(Option<&Fact>) -> bool) {
        for _ in 0..MOST_STEPS {
            if test(self.cloud.truly(id).as_ref()) {
                return;
            }
            self.pass(STEP);
        }
        panic!("{id} stays {:?}", self.cloud.truly(id));
    }

    fn made(reply: &Reply) -> String {
        match reply.facts.first() {
            Some(fact) => fact.id().to_owned(),
            None => panic!("nothing was made"),
        }
    }

    pub fn launch(&mut self, image: &ImageId, interface: Option<InterfaceId>) -> Launch {
        Launch {
            token: self.token(),
            market: Hand::here(),
            image: image.clone(),
            interface,
            root_delete_on_termination: false,
            root_size_gib: None,
            user_data: None,
            shutdown_script: None,
            settings: serde_json::Map::new(),
            root_settings: serde_json::Map::new(),
            volume_tags: None,
            interface_tags: None,
            tags: self.tags("instance"),
        }
    }

    pub fn run(&mut self, launch: Launch) -> InstanceId {
        let reply = self.must(Command::RunInstances(Box::new(launch)));
        let id = InstanceId(Hand::made(&reply));
        self.until(
            id.as_str(),
            |f| matches!(f, Some(Fact::Instance(i)) if i.state == InstanceState::Running),
        );
        id
    }

    pub fn interface(&mut self) -> InterfaceId {
        let command = Command::CreateNetworkInterface {
            token: self.token(),
            subnet: Hand::here().subnet,
            private_ip: None,
            groups: Vec::new(),
            tags: self.tags("interface"),
        };
        InterfaceId(Hand::made(&self.must(command)))
    }

    pub fn volume(&mut self, snapshot: Option<&SnapshotId>) -> VolumeId {
        let command = Command::CreateVolume {
            token: self.token(),
            zone: Hand::here().zone,
            size_gib: 10,
            snapshot: snapshot.cloned(),
            settings: serde_json::Map::new(),
            tags: self.tags("data:/dev/xvdb"),
        };
        let id = VolumeId(Hand::made(&self.must(command)));
        self.free(&id);
        id
    }

    pub fn free(&mut self, id: &VolumeId) {
        self.until(
            id.as_str(),
            |f| matches!(f, Some(Fact::Volume(v)) if v.state == VolumeState::Available),
        );
    }

    pub fn attach(&mut self, volume: &VolumeId, instance: &InstanceId) {
        self.must(Command::AttachVolume {
            volume: volume.clone(),
            instance: instance.clone(),
            device: DATA.to_owned(),
        });
        self.until(volume.as_str(), |f| matches!(f, Some(Fact::Volume(v)) if v.attachment_settled));
    }

    pub fn gate(instance: &InstanceId, data: &[&VolumeId], target: &str) -> Command {
        let mount = |v: &&VolumeId| Mount {
            volume: (*v).clone(),
            device: DATA.to_owned(),
            fs_uuid: None,
            target: target.to_owned(),
        };
        Command::OpenGate {
            instance: instance.clone(),
            manifest: data.iter().map(mount).collect(),
            interface: None,
        }
    }

    pub fn open(&mut self, instance: &InstanceId, data: &VolumeId) {
        self.must(Hand::gate(instance, &[data], "/data"));
    }

    pub fn root(&self, instance: &InstanceId) -> VolumeId {
        match self.cloud.truly(instance.as_str()) {
            Some(Fact::Instance(i)) => match i.attachments.first() {
                Some(attachment) => attachment.volume.clone(),
                None => panic!("{instance} shows no root"),
            },
            other => panic!("{instance} is {other:?}"),
        }
    }

    pub fn snapshot(&mut self, volume: &VolumeId) -> SnapshotId {
        let command =
            Command::CreateSnapshot { volume: volume.clone(), tags: self.tags("snapshot") };
        let id = SnapshotId(Hand::made(&self.must(command)));
        self.until(
            id.as_str(),
            |f| matches!(f, Some(Fact::Snapshot(s)) if s.state == SnapshotState::Completed),
        );
        id
    }

    pub fn image(&mut self, snapshot: &SnapshotId) -> ImageId {
        for _ in 0..MOST_STEPS {
            // It takes no token, and its name is unique: what an answer that was lost made is
            // found by its name.
            let name = self.token().0;
            let command = Command::RegisterImage {
                name: name.clone(),
                snapshot: snapshot.clone(),
                like: ImageId::from(IMAGE),
                root_device: ROOT_DEVICE.to_owned(),
                tags: self.tags("root"),
            };
            if self.call(command).is_err() {
                self.pass(STEP);
            }
            let named = |f: &Fact| match f {
                Fact::Image(i) if i.name == name => Some(i.id.clone()),
                _ => None,
            };
            if let Some(id) = self.cloud.resources(&self.node).iter().find_map(named) {
                return id;
            }
        }
        panic!("no image of {snapshot}");
    }

    /// The first generation: it serves with a root, a data volume and an interface of its own.
    pub fn first(&mut self) -> (InstanceId, VolumeId, InterfaceId) {
        let interface = self.interface();
        let launch = self.launch(&ImageId::from(IMAGE), Some(interface.clone()));
        let instance = self.run(launch);
        let data = self.volume(None);
        self.attach(&data, &instance);
        self.open(&instance, &data);
        self.pass(1_000);
        (instance, data, interface)
    }

    /// Cuts the power and waits until the volumes are free; returns the root.
    pub fn lose(&mut self, instance: &InstanceId, data: &VolumeId) -> VolumeId {
        let root = self.root(instance);
        self.cloud.interrupt(self.now, instance, None);
        self.free(data);
        self.free(&root);
        root
    }

    /// A right replacement after a power cut; returns the next instance and what it came from.
    pub fn replace(
        &mut self,
        instance: &InstanceId,
        data: &VolumeId,
        interface: &InterfaceId,
    ) -> (InstanceId, VolumeId, SnapshotId, ImageId) {
        let root = self.lose(instance, data);
        let snapshot = self.snapshot(&root);
        let image = self.image(&snapshot);
        let launch = self.launch(&image, Some(interface.clone()));
        let next = self.run(launch);
        self.attach(data, &next);
        self.open(&next, data);
        (next, root, snapshot, image)
    }

    pub fn broken(&self) -> Vec<&'static str> {
        self.cloud.violations().iter().map(|v: &Violation| v.name.name()).collect()
    }
}
