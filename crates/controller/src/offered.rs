//! Whether what a spec names is offered in this region, and what its author should know.

use holdfast_model::market::{Catalogue, Subnet};
use holdfast_model::{EventCode, FieldError, Spec};
use std::collections::BTreeSet;

/// How many names an error lists.
const MAX_NAMED: usize = 12;

/// Every name of the spec that the region does not know.
#[must_use]
pub fn check(spec: &Spec, catalogue: &Catalogue) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut wrong = |field: String, problem: String, allowed: Vec<&str>| {
        let example = allowed.first().map(|e| format!("\"{e}\"")).unwrap_or_default();
        let allowed = allowed.into_iter().take(MAX_NAMED).collect::<Vec<_>>().join(", ");
        errors.push(FieldError { field, problem, allowed, example });
    };
    if spec.region != catalogue.region {
        let problem = format!("is \"{}\"", spec.region);
        wrong("region".to_owned(), problem, vec![&catalogue.region]);
    }
    for (index, subnet) in spec.subnets.iter().enumerate() {
        if catalogue.subnet(subnet).is_none() {
            let field = format!("compute.subnetIds[{index}]");
            let known = catalogue.subnets.iter().map(|s| s.id.as_str()).collect();
            wrong(field, format!("is \"{subnet}\", which is not a subnet of the region"), known);
        } else if catalogue.subnet(subnet).is_some_and(|s| s.vpc != spec.vpc) {
            let known = catalogue.subnet(subnet).map(|s| s.vpc.as_str()).into_iter().collect();
            let problem = format!("is \"{}\", but {subnet} lies in another VPC", spec.vpc);
            wrong("compute.vpcId".to_owned(), problem, known);
        }
    }
    for name in &spec.types {
        if catalogue.instance_type(name).is_none() {
            let field = "compute.launchSpecification.instanceTypes".to_owned();
            let known = catalogue.types.iter().map(|t| t.name.as_str()).collect();
            wrong(field, format!("names \"{name}\", which the region does not offer"), known);
        }
    }
    errors.extend(check_address(spec, catalogue));
    errors
}

/// A chosen address lies in one subnet: it must be one of those in which the node may run.
fn check_address(spec: &Spec, catalogue: &Catalogue) -> Option<FieldError> {
    let address = spec.private_ip.as_ref()?;
    let listed: Vec<&Subnet> = spec.subnets.iter().filter_map(|id| catalogue.subnet(id)).collect();
    if listed.is_empty() || listed.iter().any(|subnet| subnet.may_assign(address)) {
        return None;
    }
    let ranges = listed.iter().filter_map(|s| s.cidr.map(|cidr| format!("{cidr} ({})", s.id)));
    let ranges: Vec<String> = ranges.take(MAX_NAMED).collect();
    let first = listed.iter().find_map(|s| s.cidr).map(|cidr| cidr.first());
    Some(FieldError {
        field: "compute.privateIp".to_owned(),
        problem: format!(
            "is \"{address}\", which no subnet of compute.subnetIds can give to an instance"
        ),
        allowed: format!(
            "an address in {}, but for the first four and the last of each",
            ranges.join(", ")
        ),
        example: first.map(|first| format!("\"{first}\"")).unwrap_or_default(),
    })
}

/// What the author of a spec that is accepted should know: an event's code and a sentence each.
#[must_use]
pub fn remarks(spec: &Spec, catalogue: &Catalogue) -> Vec<(EventCode, String)> {
    let mut remarks = Vec::new();
    let zones: BTreeSet<&str> = spec
        .subnets
        .iter()
        .filter_map(|id| catalogue.subnet(id))
        .map(|s| s.zone.as_str())
        .collect();
    let kept = if spec.persistence.private_ip {
        "a private IP that is kept"
    } else {
        "a further network interface, which is kept,"
    };
    let pins = spec.persistence.private_ip || !spec.secondary.is_empty();
    if pins && zones.len() > 1 {
        let zones: Vec<&str> = zones.into_iter().collect();
        let message = format!(
            "{kept} cannot leave its zone: of {} the node stays in the one in which it first runs, \
             also when that has no capacity (compute.subnetIds)",
            zones.join(", ")
        );
        remarks.push((EventCode::ZonePinned, message));
    }
    if !spec.not_acted_on.is_empty() {
        let what = spec.not_acted_on.join(", ");
        let message = format!("kept, but not acted on by this version: {what}");
        remarks.push((EventCode::NotActedOn, message));
    }
    remarks
}
