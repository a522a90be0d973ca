//! Whether what a spec names is offered in this region.

use holdfast_model::market::Catalogue;
use holdfast_model::{FieldError, Spec};

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
    errors
}
