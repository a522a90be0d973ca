//! The shape of `managedInstance`: which members there are and of what type. From this one table
//! come the conversion of texts to real types, the check of what the model does not read, the
//! search for misspelt members, and the schema in the description.
//!
//! The members are those of Spot's published API and SDKs.

use Shape::{Flag, List, Number, Object, Text};
use holdfast_model::FieldError;
use holdfast_wire::as_flag;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type,
};

/// What a member holds.
pub(crate) enum Shape {
    /// A text.
    Text,
    /// `true` or `false`; also as text, as CloudFormation sends it.
    Flag,
    /// A whole number; also as text.
    Number,
    /// A list.
    List(&'static Shape),
    /// An object with these members; others are kept and not looked at.
    Object(Members),
}

type Members = &'static [(&'static str, Shape)];

const RANGE: Shape = Object(&[("minimum", Number), ("maximum", Number)]);
const TAGGED: Shape = Object(&[("shouldTag", Flag)]);
const TEXTS: Shape = List(&Text);

const STRATEGY: Members = &[
    ("lifeCycle", Text),
    ("orientation", Text),
    ("drainingTimeout", Number),
    ("fallbackToOd", Flag),
    ("utilizeReservedInstances", Flag),
    ("utilizeCommitments", Flag),
    ("optimizationWindows", TEXTS),
    ("revertToSpot", Object(&[("performAt", Text)])),
    ("minimumInstanceLifetime", Number),
];

const PERSISTENCE: Members = &[
    ("persistRootDevice", Flag),
    ("persistBlockDevices", Flag),
    ("persistPrivateIp", Flag),
    ("blockDevicesMode", Text),
    ("persistApplication", Flag),
    ("applicationPersistencyConfig", TEXTS),
];

const HEALTH_CHECK: Members = &[
    ("type", Text),
    ("autoHealing", Flag),
    ("gracePeriod", Number),
    ("unhealthyDuration", Number),
];

const EBS: Members = &[
    ("deleteOnTermination", Flag),
    ("encrypted", Flag),
    ("iops", Number),
    ("kmsKeyId", Text),
    ("snapshotId", Text),
    ("throughput", Number),
    ("volumeSize", Number),
    ("volumeType", Text),
];

const LAUNCH_SPECIFICATION: Members = &[
    (
        "instanceTypes",
        Object(&[
            ("preferredType", Text),
            ("preferredTypes", TEXTS),
            ("types", TEXTS),
            (
                "resourceRequirements",
                Object(&[
                    ("requiredVCpu", RANGE),
                    ("requiredMemory", RANGE),
                    ("requiredGpu", RANGE),
                    ("excludedInstanceTypes", TEXTS),
                    ("excludedInstanceFamilies", TEXTS),
                    ("excludedInstanceGenerations", TEXTS),
                ]),
            ),
        ]),
    ),
    ("imageId", Text),
    ("keyPair", Text),
    ("securityGroupIds", TEXTS),
    ("tenancy", Text),
    ("ebsOptimized", Flag),
    ("monitoring", Flag),
    ("userData", Text),
    ("shutdownScript", Text),
    ("iamRole", Object(&[("name", Text), ("arn", Text)])),
    ("creditSpecification", Object(&[("cpuCredits", Text)])),
    ("tags", List(&Object(&[("tagKey", Text), ("tagValue", Text)]))),
    (
        "networkInterfaces",
        List(&Object(&[
            ("deviceIndex", Number),
            ("associatePublicIpAddress", Flag),
            ("associateIpv6Address", Flag),
            ("networkInterfaceId", Text),
        ])),
    ),
    (
        "blockDeviceMappings",
        List(&Object(&[
            ("deviceName", Text),
            ("ebs", Object(EBS)),
            ("noDevice", Text),
            ("virtualName", Text),
        ])),
    ),
    (
        "resourceTagSpecification",
        Object(&[("volumes", TAGGED), ("snapshots", TAGGED), ("enis", TAGGED), ("amis", TAGGED)]),
    ),
    (
        "metadataOptions",
        Object(&[
            ("httpTokens", Text),
            ("httpPutResponseHopLimit", Number),
            ("instanceMetadataTags", Text),
        ]),
    ),
];

const COMPUTE: Members = &[
    ("product", Text),
    ("subnetIds", TEXTS),
    ("vpcId", Text),
    ("elasticIp", Text),
    ("privateIp", Text),
    (
        "volumeAttachments",
        Object(&[("volumes", List(&Object(&[("volumeId", Text), ("deviceName", Text)])))]),
    ),
    ("launchSpecification", Object(LAUNCH_SPECIFICATION)),
];

const TASK: Members = &[
    ("taskType", Text),
    ("isEnabled", Flag),
    ("frequency", Text),
    ("cronExpression", Text),
    ("startTime", Text),
];

const DOMAIN: Members = &[
    ("hostedZoneId", Text),
    ("spotinstAccountId", Text),
    ("recordSetType", Text),
    ("recordSets", List(&Object(&[("name", Text), ("usePublicIp", Flag), ("usePublicDns", Flag)]))),
];

const INTEGRATIONS: Members = &[
    (
        "loadBalancersConfig",
        Object(&[(
            "loadBalancers",
            List(&Object(&[("name", Text), ("arn", Text), ("type", Text)])),
        )]),
    ),
    ("route53", Object(&[("domains", List(&Object(DOMAIN)))])),
];

const MANAGED_INSTANCE: Members = &[
    ("name", Text),
    ("description", Text),
    ("region", Text),
    ("strategy", Object(STRATEGY)),
    ("persistence", Object(PERSISTENCE)),
    ("healthCheck", Object(HEALTH_CHECK)),
    ("compute", Object(COMPUTE)),
    ("scheduling", Object(&[("tasks", List(&Object(TASK)))])),
    ("integrations", Object(INTEGRATIONS)),
];

/// What a client may not set, but may send back.
const READ_ONLY: [&str; 3] = ["id", "createdAt", "updatedAt"];

/// Makes a document, or a part of one, conform: numbers and flags that came as text get their
/// real type, what only the server sets is taken out.
///
/// # Errors
/// Every member that has another type than it should, whether or not anything reads it: clients
/// with static types could not read the answer.
pub(crate) fn conform(document: &mut Value) -> Result<(), Vec<FieldError>> {
    let mut errors = Vec::new();
    if let Value::Object(members) = document {
        for name in READ_ONLY {
            members.remove(name);
        }
    }
    object(MANAGED_INSTANCE, "", document, &mut errors);
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn wrong(field: &str, value: &Value, allowed: &str, example: &str) -> FieldError {
    let problem = match value {
        Value::Null => "is null".to_owned(),
        Value::Bool(_) => "is true or false".to_owned(),
        Value::Number(_) => "is a number".to_owned(),
        // Its content may be long or secret.
        Value::String(_) => "is a text".to_owned(),
        Value::Array(_) => "is a list".to_owned(),
        Value::Object(_) => "is an object".to_owned(),
    };
    FieldError {
        field: field.to_owned(),
        problem,
        allowed: allowed.to_owned(),
        example: example.to_owned(),
    }
}

fn member(shape: &Shape, path: &str, value: &mut Value, errors: &mut Vec<FieldError>) {
    if value.is_null() {
        return;
    }
    match shape {
        Text => {
            if !value.is_string() {
                errors.push(wrong(path, value, "a text", "\"5\""));
            }
        }
        Flag => match as_flag(value) {
            Some(flag) => *value = Value::Bool(flag),
            None => errors.push(wrong(path, value, "true or false", "true")),
        },
        Number => match as_whole(value) {
            Some(number) => *value = Value::from(number),
            None => errors.push(wrong(path, value, "a whole number", "10")),
        },
        List(of) => {
            let Value::Array(items) = value else {
                errors.push(wrong(path, value, "a list", "[]"));
                return;
            };
            for (index, item) in items.iter_mut().enumerate() {
                member(of, &format!("{path}[{index}]"), item, errors);
            }
        }
        Object(members) => object(members, path, value, errors),
    }
}

fn object(members: Members, path: &str, value: &mut Value, errors: &mut Vec<FieldError>) {
    let Value::Object(found) = value else {
        let name = if path.is_empty() { "managedInstance" } else { path };
        errors.push(wrong(name, value, "an object", "{}"));
        return;
    };
    for (name, value) in found {
        let field = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match members.iter().find(|(known, _)| known == name) {
            Some((_, shape)) => member(shape, &field, value, errors),
            None if has_nested_list(value, false) => {
                errors.push(wrong(&field, value, "no list directly in a list", "[1, 2]"));
            }
            None => {}
        }
    }
}

/// Lists in lists are what no client can read.
fn has_nested_list(value: &Value, in_list: bool) -> bool {
    match value {
        Value::Array(items) => in_list || items.iter().any(|i| has_nested_list(i, true)),
        Value::Object(members) => members.values().any(|v| has_nested_list(v, false)),
        _ => false,
    }
}

fn as_whole(value: &Value) -> Option<i64> {
    /// Every whole number up to here is exact as a double, which is what JSON promises.
    const MOST: f64 = 9_007_199_254_740_991.0;
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() <= MOST).map(|f| f as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The member at a path with dots, unless it is null.
fn present<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = document;
    for part in path.split('.') {
        value = value.get(part)?;
    }
    (!value.is_null()).then_some(value)
}

/// What is wrong with a whole document's resource requirements: without both of their required
/// members a known client cannot read them back.
pub(crate) fn incomplete_requirements(document: &Value) -> Vec<FieldError> {
    let path = "compute.launchSpecification.instanceTypes.resourceRequirements";
    let Some(Value::Object(members)) = present(document, path) else { return Vec::new() };
    if members.values().all(Value::is_null) {
        return Vec::new();
    }
    let complete = |name: &str| {
        let range = members.get(name).and_then(Value::as_object);
        range.is_some_and(|r| {
            ["minimum", "maximum"].iter().all(|end| r.get(*end).is_some_and(|v| !v.is_null()))
        })
    };
    ["requiredVCpu", "requiredMemory"]
        .into_iter()
        .filter(|name| !complete(name))
        .map(|name| FieldError {
            field: format!("{path}.{name}"),
            problem: "is missing or not complete".to_owned(),
            allowed: "a minimum and a maximum".to_owned(),
            example: "{\"minimum\": 2, \"maximum\": 8}".to_owned(),
        })
        .collect()
}

/// Paths of members that the interface does not know: they are kept and echoed, but nothing acts
/// on them. Often a spelling mistake.
#[must_use]
pub fn unknown_members(document: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    look(&Object(MANAGED_INSTANCE), "", document, &mut unknown);
    unknown.retain(|path| !READ_ONLY.contains(&path.as_str()));
    unknown
}

fn look(shape: &Shape, path: &str, value: &Value, unknown: &mut Vec<String>) {
    match (shape, value) {
        (Object(members), Value::Object(found)) => {
            for (name, value) in found {
                let field = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match members.iter().find(|(known, _)| known == name) {
                    Some((_, shape)) => look(shape, &field, value, unknown),
                    None => unknown.push(field),
                }
            }
        }
        (List(of), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                look(of, &format!("{path}[{index}]"), item, unknown);
            }
        }
        _ => {}
    }
}

/// The document as the description shows it: `null` unsets a member, and what is not known is kept.
pub(crate) fn schema() -> Schema {
    Schema::Object(describe_object(MANAGED_INSTANCE).schema_type(Type::Object).build())
}

fn describe(shape: &Shape) -> Schema {
    let or_null = |of: Type| SchemaType::from_iter([of, Type::Null]);
    let scalar = |of: Type| Schema::Object(ObjectBuilder::new().schema_type(or_null(of)).build());
    match shape {
        Text => scalar(Type::String),
        Flag => scalar(Type::Boolean),
        Number => scalar(Type::Integer),
        List(of) => {
            let array = ArrayBuilder::new().schema_type(or_null(Type::Array));
            Schema::Array(array.items(RefOr::T(describe(of))).build())
        }
        Object(members) => {
            Schema::Object(describe_object(members).schema_type(or_null(Type::Object)).build())
        }
    }
}

fn describe_object(members: Members) -> ObjectBuilder {
    let mut object = ObjectBuilder::new();
    for (name, shape) in members {
        object = object.property(*name, RefOr::T(describe(shape)));
    }
    object.additional_properties(Some(AdditionalProperties::FreeForm(true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_become_numbers_and_flags_where_those_are_meant() {
        let mut document = json!({
            "id": "smi-00000000",
            "name": "5",
            "strategy": { "drainingTimeout": "120", "fallbackToOd": "False" },
            "compute": { "launchSpecification": {
                "networkInterfaces": [{ "deviceIndex": "0" }],
                "blockDeviceMappings": [{ "ebs": { "throughput": 125.0, "iops": null } }],
            } },
        });
        conform(&mut document).unwrap();
        let expected = json!({
            "name": "5",
            "strategy": { "drainingTimeout": 120, "fallbackToOd": false },
            "compute": { "launchSpecification": {
                "networkInterfaces": [{ "deviceIndex": 0 }],
                "blockDeviceMappings": [{ "ebs": { "throughput": 125, "iops": null } }],
            } },
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn every_member_of_another_type_is_named() {
        let mut document = json!({
            "description": 5,
            "strategy": { "fallbackToOd": "maybe", "optimizationWindows": "always" },
            "compute": { "launchSpecification": { "userData": ["secret"], "tags": ["x"] } },
            "strange": [[1]],
        });
        let errors = conform(&mut document).unwrap_err();
        let mut fields: Vec<&str> = errors.iter().map(|e| e.field.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "compute.launchSpecification.tags[0]",
                "compute.launchSpecification.userData",
                "description",
                "strange",
                "strategy.fallbackToOd",
                "strategy.optimizationWindows",
            ]
        );
        assert!(!format!("{errors:?}").contains("secret"));
    }

    #[test]
    fn misspelt_members_are_found() {
        let document = json!({
            "name": "a",
            "persistance": {},
            "compute": { "launchSpecification": { "tags": [{ "key": "a" }] } },
        });
        let mut unknown = unknown_members(&document);
        unknown.sort_unstable();
        assert_eq!(unknown, ["compute.launchSpecification.tags[0].key", "persistance"]);
    }
}
