//! Reads a spec document and collects every mistake.
//!
//! CloudFormation hands on every scalar as a string, so `"true"` and `"120"` are accepted where a
//! boolean or a number is meant.

use super::interfaces::read_interfaces;
use super::settings::{passed_on, read_tagged};
use super::{
    BlockDevicesMode, DataVolumeSpec, HealthCheck, MAX_CHOICES, MAX_DATA_VOLUMES, MAX_DOCUMENT,
    MAX_USER_DATA, Orientation, Persistence, ROOT_DEVICES, Spec,
};
use crate::tags::{MAX_TAG_KEY, MAX_TAG_VALUE, MAX_USER_TAGS, Tags};
use crate::time::SECOND;
use crate::{AllocationId, FieldError, ImageId, Lifecycle, SnapshotId, SubnetId};
use base64::Engine as _;
use serde_json::{Map, Value};

/// Spot's documented default of `drainingTimeout` in seconds.
const DRAINING_DEFAULT: u64 = 120;
/// Spot's documented default of `gracePeriod` and `unhealthyDuration` in seconds.
const HEALTH_DEFAULT: u64 = 120;
/// The longest time any of these may be set to, in seconds.
const MAX_SECONDS: u64 = 3_600;
/// EBS's largest volume in GiB (io2 Block Express, gp3: 64 TiB).
const MAX_GIB: u64 = 65_536;
/// EBS's default size of a volume that names none, in GiB.
const DEFAULT_GIB: u32 = 8;

/// Members of the document that are echoed but not acted on yet.
const NOT_ACTED_ON: [&str; 5] = [
    "scheduling.tasks",
    "integrations.loadBalancersConfig",
    "integrations.route53",
    "compute.volumeAttachments",
    "persistence.persistApplication",
];

pub(super) struct Reader<'a> {
    document: &'a Value,
    errors: Vec<FieldError>,
}

impl<'a> Reader<'a> {
    pub(super) fn at(&self, path: &str) -> Option<&'a Value> {
        let mut value = self.document;
        for part in path.split('.') {
            value = value.get(part)?;
        }
        (!value.is_null()).then_some(value)
    }

    pub(super) fn wrong(
        &mut self,
        field: &str,
        problem: impl Into<String>,
        allowed: &str,
        example: &str,
    ) {
        self.errors.push(FieldError {
            field: field.to_owned(),
            problem: problem.into(),
            allowed: allowed.to_owned(),
            example: example.to_owned(),
        });
    }

    pub(super) fn text(&mut self, path: &str, example: &str) -> Option<String> {
        match self.at(path)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::String(_) => {
                self.wrong(path, "is empty", "a text that is not empty", example);
                None
            }
            other => {
                self.wrong(path, format!("is {}", what(other)), "a text", example);
                None
            }
        }
    }

    fn required(&mut self, path: &str, example: &str) -> String {
        if self.at(path).is_none() {
            self.wrong(path, "is missing", "a text that is not empty", example);
        }
        self.text(path, example).unwrap_or_default()
    }

    pub(super) fn flag(&mut self, path: &str, default: bool) -> bool {
        match self.at(path) {
            None => default,
            Some(Value::Bool(b)) => *b,
            Some(Value::String(s)) if s.eq_ignore_ascii_case("true") => true,
            Some(Value::String(s)) if s.eq_ignore_ascii_case("false") => false,
            Some(other) => {
                self.wrong(path, format!("is {}", what(other)), "true or false", "true");
                default
            }
        }
    }

    pub(super) fn number(&mut self, path: &str, default: u64, least: u64, most: u64) -> u64 {
        let Some(value) = self.at(path) else { return default };
        self.checked_number(path, value, least, most).unwrap_or(default)
    }

    pub(super) fn checked_number(
        &mut self,
        path: &str,
        value: &Value,
        least: u64,
        most: u64,
    ) -> Option<u64> {
        let number = match value {
            Value::Number(n) => n
                .as_u64()
                .or_else(|| n.as_f64().filter(|f| f.fract() == 0.0 && *f >= 0.0).map(|f| f as u64)),
            Value::String(s) => s.parse().ok(),
            _ => None,
        };
        match number {
            Some(n) if (least..=most).contains(&n) => Some(n),
            _ => {
                let allowed = format!("a whole number from {least} to {most}");
                self.wrong(path, format!("is {}", what(value)), &allowed, &least.to_string());
                None
            }
        }
    }

    pub(super) fn texts(&mut self, path: &str, example: &str) -> Vec<String> {
        let Some(value) = self.at(path) else { return Vec::new() };
        let Value::Array(items) = value else {
            self.wrong(path, format!("is {}", what(value)), "a list of texts", example);
            return Vec::new();
        };
        if items.len() > MAX_CHOICES {
            let problem = format!("has {} members", items.len());
            self.wrong(path, problem, &format!("at most {MAX_CHOICES} members"), example);
        }
        let mut texts = Vec::new();
        for (index, item) in items.iter().take(MAX_CHOICES).enumerate() {
            match item.as_str() {
                Some(text) if !text.is_empty() => texts.push(text.to_owned()),
                _ => {
                    let field = format!("{path}[{index}]");
                    self.wrong(&field, format!("is {}", what(item)), "a text", example);
                }
            }
        }
        texts
    }

    pub(super) fn one_of<T: Copy>(&mut self, path: &str, choices: &[(&str, T)], default: T) -> T {
        let Some(value) = self.at(path) else { return default };
        let found = value.as_str().and_then(|text| choices.iter().find(|(name, _)| *name == text));
        if let Some((_, choice)) = found {
            return *choice;
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let example = format!("\"{}\"", names.first().copied().unwrap_or_default());
        self.wrong(path, format!("is {}", what(value)), &names.join(", "), &example);
        default
    }

    fn script(&mut self, path: &str, example: &str) -> Option<String> {
        let text = self.text(path, example)?;
        match base64::engine::general_purpose::STANDARD.decode(text.trim()) {
            Ok(bytes) if bytes.len() <= MAX_USER_DATA => Some(text),
            Ok(bytes) => {
                let problem = format!("has {} bytes", bytes.len());
                self.wrong(path, problem, &format!("at most {MAX_USER_DATA} bytes"), example);
                None
            }
            Err(_) => {
                self.wrong(path, "is not base64", "base64 of a script", example);
                None
            }
        }
    }
}

/// A value as it appears in an error: never its content where that could be long or secret.
pub(super) fn what(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(s) if s.chars().count() <= 40 => format!("\"{s}\""),
        Value::String(_) => "a long text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// See [`Spec::read`].
pub(super) fn read(document: &Value) -> Result<Spec, Vec<FieldError>> {
    let mut r = Reader { document, errors: Vec::new() };
    if !document.is_object() {
        r.wrong("managedInstance", format!("is {}", what(document)), "an object", "{\"name\": …}");
        return Err(r.errors);
    }
    if document.to_string().len() > MAX_DOCUMENT {
        let allowed = format!("at most {MAX_DOCUMENT} bytes");
        r.wrong("managedInstance", "is too long", &allowed, "{\"name\": …}");
        return Err(r.errors);
    }
    let launch = "compute.launchSpecification";
    let name = r.required("name", "\"orders-db\"");
    let region = r.required("region", "\"local-1\"");
    let vpc = r.required("compute.vpcId", "\"vpc-local\"");
    let subnets = r.texts("compute.subnetIds", "[\"subnet-local-1a\"]");
    if r.at("compute.subnetIds").is_none_or(|v| v.as_array().is_some_and(Vec::is_empty)) {
        r.wrong("compute.subnetIds", "is missing", "at least one subnet", "[\"subnet-local-1a\"]");
    }
    let image = r.required(&format!("{launch}.imageId"), "\"ami-host\"");
    let types = read_types(&mut r);
    let private_ip = r.text("compute.privateIp", "\"10.77.1.20\"");
    if let Some(ip) = &private_ip
        && ip.parse::<std::net::Ipv4Addr>().is_err()
    {
        r.wrong("compute.privateIp", format!("is \"{ip}\""), "an IPv4 address", "\"10.77.1.20\"");
    }
    let (tags, mounts) = read_tags(&mut r);
    let elastic_ip = r.text("compute.elasticIp", "\"eipalloc-0a1b2c3d\"");
    if let Some(id) = elastic_ip.as_ref().filter(|id| !id.starts_with("eipalloc-")) {
        let problem = format!("is \"{id}\"");
        let example = "\"eipalloc-0a1b2c3d\"";
        r.wrong("compute.elasticIp", problem, "the allocation id of an Elastic IP", example);
    }
    let secondary = read_interfaces(&mut r);
    let tagged = read_tagged(&mut r);
    let settings = passed_on(&mut r);
    let Devices { root_size_gib, root_settings, data } = read_devices(&mut r, &mounts);
    let persistence = read_persistence(&mut r, private_ip.is_some());
    let lifecycles = [("spot", Lifecycle::Spot), ("on_demand", Lifecycle::OnDemand)];
    let orientations = [
        ("costOriented", Orientation::CostOriented),
        ("availabilityOriented", Orientation::AvailabilityOriented),
        ("balanced", Orientation::Balanced),
        ("cheapest", Orientation::Cheapest),
    ];
    let seconds = |r: &mut Reader<'_>, path: &str, default: u64| {
        r.number(path, default, 0, MAX_SECONDS) * SECOND
    };
    let spec = Spec {
        name,
        region,
        lifecycle: r.one_of("strategy.lifeCycle", &lifecycles, Lifecycle::Spot),
        fallback_to_on_demand: r.flag("strategy.fallbackToOd", true),
        orientation: r.one_of(
            "strategy.orientation",
            &orientations,
            Orientation::AvailabilityOriented,
        ),
        revert: super::revert::read(&mut r),
        draining_timeout_ms: seconds(&mut r, "strategy.drainingTimeout", DRAINING_DEFAULT),
        persistence,
        health_check: HealthCheck {
            auto_healing: r.flag("healthCheck.autoHealing", true),
            grace_ms: seconds(&mut r, "healthCheck.gracePeriod", HEALTH_DEFAULT),
            unhealthy_ms: seconds(&mut r, "healthCheck.unhealthyDuration", HEALTH_DEFAULT),
        },
        vpc,
        subnets: subnets.into_iter().map(SubnetId).collect(),
        private_ip,
        elastic_ip: elastic_ip.map(AllocationId),
        secondary,
        types,
        image: ImageId(image),
        user_data: r.script(&format!("{launch}.userData"), "\"IyEvYmluL3NoCg==\""),
        shutdown_script: r.script(&format!("{launch}.shutdownScript"), "\"IyEvYmluL3NoCg==\""),
        tags,
        tagged,
        root_size_gib,
        root_settings,
        data,
        security_groups: r.texts(&format!("{launch}.securityGroupIds"), "[\"sg-1\"]"),
        settings,
        make_before_break: super::order::read(&mut r),
        not_acted_on: not_acted_on(&r),
    };
    if r.errors.is_empty() { Ok(spec) } else { Err(r.errors) }
}

fn read_types(r: &mut Reader<'_>) -> Vec<String> {
    let base = "compute.launchSpecification.instanceTypes";
    let mut types = Vec::new();
    types.extend(r.text(&format!("{base}.preferredType"), "\"m5.large\""));
    types.extend(r.texts(&format!("{base}.preferredTypes"), "[\"m5.large\"]"));
    types.extend(r.texts(&format!("{base}.types"), "[\"m5.large\", \"m5.xlarge\"]"));
    let mut seen = std::collections::BTreeSet::new();
    types.retain(|t| seen.insert(t.clone()));
    if types.is_empty() {
        let field = format!("{base}.types");
        if r.at(&format!("{base}.resourceRequirements")).is_some() {
            r.wrong(
                &format!("{base}.resourceRequirements"),
                "is not supported by this version",
                "a list of types instead",
                "{\"types\": [\"m5.large\"]}",
            );
        } else {
            r.wrong(&field, "is missing", "at least one instance type", "[\"m5.large\"]");
        }
    }
    types
}

fn read_persistence(r: &mut Reader<'_>, chosen_ip: bool) -> Persistence {
    let root = r.flag("persistence.persistRootDevice", false);
    let blocks = r.flag("persistence.persistBlockDevices", false);
    let private_ip = r.flag("persistence.persistPrivateIp", false);
    let modes =
        [("reattach", BlockDevicesMode::Reattach), ("onLaunch", BlockDevicesMode::OnLaunch)];
    let mode = r.one_of("persistence.blockDevicesMode", &modes, BlockDevicesMode::OnLaunch);
    // A chosen address is an address that must not change: it is kept even if the flag is off.
    let private_ip = private_ip || chosen_ip;
    if !(root || blocks || private_ip) {
        r.wrong(
            "persistence",
            "keeps nothing, so this would not be a stateful node",
            "at least one of persistRootDevice, persistBlockDevices, persistPrivateIp",
            "{\"persistBlockDevices\": true, \"blockDevicesMode\": \"reattach\"}",
        );
    }
    Persistence { root, data: blocks.then_some(mode), private_ip }
}

fn read_tags(r: &mut Reader<'_>) -> (Tags, Tags) {
    let path = "compute.launchSpecification.tags";
    let mut tags = Tags::new();
    let mut mounts = Tags::new();
    let Some(value) = r.at(path) else { return (tags, mounts) };
    let Value::Array(items) = value else {
        r.wrong(
            path,
            format!("is {}", what(value)),
            "a list of tags",
            "[{\"tagKey\": \"team\", \"tagValue\": \"db\"}]",
        );
        return (tags, mounts);
    };
    if items.len() > MAX_USER_TAGS {
        let problem = format!("has {} members", items.len());
        r.wrong(path, problem, &format!("at most {MAX_USER_TAGS} tags"), "[]");
    }
    for (index, item) in items.iter().take(MAX_USER_TAGS).enumerate() {
        let field = format!("{path}[{index}].tagKey");
        let Some(key) = item.get("tagKey").and_then(Value::as_str).filter(|k| !k.is_empty()) else {
            r.wrong(&field, "is missing", "a text of up to 127 characters", "\"team\"");
            continue;
        };
        let text = item.get("tagValue").and_then(Value::as_str).unwrap_or_default();
        if let Some(device) = key.strip_prefix(crate::tags::MOUNT_PREFIX) {
            let normal = text.starts_with('/')
                && text.len() > 1
                && !text.split('/').any(|part| part == ".." || part == ".");
            if !normal {
                let field = format!("{path}[{index}].tagValue");
                r.wrong(&field, format!("is \"{text}\""), "an absolute path", "\"/var/lib/data\"");
            }
            mounts.insert(device.to_owned(), text.to_owned());
        } else if key == crate::tags::MAKE_BEFORE_BREAK {
            // Read by itself: see `order`.
        } else if key.starts_with("holdfast:") || key.starts_with("aws:") {
            let allowed = "keys that do not begin with holdfast: or aws:";
            r.wrong(&field, format!("is \"{key}\""), allowed, "\"team\"");
        } else if key.chars().count() > MAX_TAG_KEY {
            let allowed = format!("a text of up to {MAX_TAG_KEY} characters");
            r.wrong(&field, "is too long", &allowed, "\"team\"");
        } else if text.chars().count() > MAX_TAG_VALUE {
            let field = format!("{path}[{index}].tagValue");
            let allowed = format!("a text of up to {MAX_TAG_VALUE} characters");
            r.wrong(&field, "is too long", &allowed, "\"db\"");
        } else {
            tags.insert(key.to_owned(), text.to_owned());
        }
    }
    (tags, mounts)
}

/// What `blockDeviceMappings` says.
#[derive(Default)]
struct Devices {
    root_size_gib: Option<u32>,
    root_settings: Map<String, Value>,
    data: Vec<DataVolumeSpec>,
}

fn read_devices(r: &mut Reader<'_>, mounts: &Tags) -> Devices {
    let path = "compute.launchSpecification.blockDeviceMappings";
    let mut root = None;
    let mut root_settings = Map::new();
    let mut data: Vec<DataVolumeSpec> = Vec::new();
    let items = match r.at(path) {
        None => &Vec::new(),
        Some(Value::Array(items)) => items,
        Some(other) => {
            r.wrong(
                path,
                format!("is {}", what(other)),
                "a list",
                "[{\"deviceName\": \"/dev/xvdb\", \"ebs\": {\"volumeSize\": 10}}]",
            );
            return Devices::default();
        }
    };
    for (index, item) in items.iter().enumerate().take(MAX_DATA_VOLUMES + 2) {
        let field = |member: &str| format!("{path}[{index}].{member}");
        let device = item.get("deviceName").and_then(Value::as_str).unwrap_or_default();
        if !device.starts_with("/dev/") || device.len() < 6 || device.len() > 32 {
            let problem = format!("is \"{device}\"");
            r.wrong(&field("deviceName"), problem, "a device name", "\"/dev/xvdb\"");
            continue;
        }
        let Some(Value::Object(ebs)) = item.get("ebs") else {
            if item.get("noDevice").is_none() && item.get("virtualName").is_none() {
                r.wrong(&field("ebs"), "is missing", "an object", "{\"volumeSize\": 10}");
            }
            continue;
        };
        let size = match ebs.get("volumeSize").filter(|v| !v.is_null()) {
            None => None,
            Some(value) => r
                .checked_number(&field("ebs.volumeSize"), value, 1, MAX_GIB)
                .and_then(|n| u32::try_from(n).ok()),
        };
        let mut settings = ebs.clone();
        for known in ["volumeSize", "snapshotId", "deleteOnTermination"] {
            settings.remove(known);
        }
        settings.retain(|_, value| !value.is_null());
        if ROOT_DEVICES.contains(&device) {
            root = size;
            root_settings = settings;
            continue;
        }
        if data.iter().any(|d| d.device == device) {
            let problem = format!("\"{device}\" stands twice");
            r.wrong(&field("deviceName"), problem, "each device once", "\"/dev/xvdc\"");
            continue;
        }
        let snapshot = ebs.get("snapshotId").and_then(Value::as_str).map(SnapshotId::from);
        data.push(DataVolumeSpec {
            device: device.to_owned(),
            size_gib: size.unwrap_or(DEFAULT_GIB),
            snapshot,
            settings,
            mount: mounts.get(device).cloned().unwrap_or_else(|| Spec::default_mount(device)),
        });
    }
    if items.len() > MAX_DATA_VOLUMES {
        let problem = format!("has {} members", items.len());
        r.wrong(path, problem, &format!("at most {MAX_DATA_VOLUMES} volumes"), "[]");
    }
    for device in mounts.keys() {
        if !data.iter().any(|d| &d.device == device) {
            r.wrong(
                "compute.launchSpecification.tags",
                format!("a mount tag names {device}, which is no data volume"),
                "a device of blockDeviceMappings",
                "\"holdfast:mount:/dev/xvdb\"",
            );
        }
    }
    let mut targets = std::collections::BTreeSet::new();
    for volume in &data {
        if !targets.insert(volume.mount.clone()) {
            r.wrong(
                "compute.launchSpecification.tags",
                format!("two volumes are mounted at {}", volume.mount),
                "each path once",
                "\"/var/lib/data\"",
            );
        }
    }
    Devices { root_size_gib: root, root_settings, data }
}

fn not_acted_on(r: &Reader<'_>) -> Vec<String> {
    NOT_ACTED_ON
        .iter()
        .filter(|path| {
            r.at(path).is_some_and(|value| match value {
                Value::Array(items) => !items.is_empty(),
                Value::Object(members) => {
                    !members.is_empty()
                        && members.get("performAt").and_then(Value::as_str) != Some("never")
                }
                Value::Bool(on) => *on,
                _ => true,
            })
        })
        .map(|path| (*path).to_owned())
        .collect()
}
