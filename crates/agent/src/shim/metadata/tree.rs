//! What there is to know, by path; listings follow from the paths.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::NodeConfig;
use crate::shim::node::Notice;

const TEXT: &str = "text/plain";
const JSON: &str = "application/json";

pub(super) type Leaves = BTreeMap<String, (&'static str, Vec<u8>)>;

/// Everything that can be read below `/latest/`, with its content type.
pub(super) fn leaves(config: &NodeConfig, notice: Option<&Notice>, started_at_ms: u64) -> Leaves {
    let mut leaves = Leaves::new();
    let private_dns = format!(
        "ip-{}.{}.internal",
        config.private_ip.to_string().replace('.', "-"),
        config.region
    );
    let mut meta = |path: &str, value: &str| {
        leaves.insert(format!("meta-data/{path}"), (TEXT, value.as_bytes().to_vec()));
    };
    let ip = config.private_ip.to_string();
    meta("ami-id", &config.image_id);
    meta("ami-launch-index", "0");
    meta("hostname", &private_dns);
    meta("instance-action", "none");
    meta("instance-id", &config.instance_id);
    meta("instance-life-cycle", config.lifecycle.as_str());
    meta("instance-type", &config.instance_type);
    meta("local-hostname", &config.hostname);
    meta("local-ipv4", &ip);
    meta("mac", &config.mac);
    meta("placement/availability-zone", &config.zone);
    meta("placement/region", &config.region);
    let interface = format!("network/interfaces/macs/{}", config.mac);
    meta(&format!("{interface}/device-number"), "0");
    meta(&format!("{interface}/local-ipv4s"), &ip);
    meta(&format!("{interface}/mac"), &config.mac);
    for (key, value) in config.tags.iter().filter(|_| config.metadata.tags) {
        // EC2 does not show keys that cannot be a path component either.
        let shown = !key.is_empty() && key != "." && key != ".." && !key.contains(['/', ' ']);
        if shown {
            meta(&format!("tags/instance/{key}"), value);
        }
    }
    if let Some(notice) = notice {
        meta("spot/termination-time", &notice.time);
        let body = serde_json::json!({ "action": notice.action, "time": notice.time });
        leaves
            .insert("meta-data/spot/instance-action".into(), (JSON, body.to_string().into_bytes()));
    }
    if !config.user_data.is_empty() {
        leaves.insert("user-data".into(), ("application/octet-stream", config.user_data.clone()));
    }
    leaves.insert(
        "dynamic/instance-identity/document".into(),
        (JSON, identity_document(config, started_at_ms)),
    );
    leaves
}

/// Source: EC2 user guide, "Instance identity documents".
fn identity_document(config: &NodeConfig, started_at_ms: u64) -> Vec<u8> {
    let document = serde_json::json!({
        "accountId": "000000000000",
        "architecture": std::env::consts::ARCH,
        "availabilityZone": config.zone,
        "billingProducts": null,
        "devpayProductCodes": null,
        "imageId": config.image_id,
        "instanceId": config.instance_id,
        "instanceType": config.instance_type,
        "kernelId": null,
        "marketplaceProductCodes": null,
        "pendingTime": utc_seconds(started_at_ms / 1000),
        "privateIp": config.private_ip,
        "ramdiskId": null,
        "region": config.region,
        "version": "2017-09-30",
    });
    format!("{document:#}").into_bytes()
}

/// What is at `path`: a value, or the listing of what is below it, directories with a slash.
pub(super) fn lookup(leaves: &Leaves, path: &str) -> Option<(&'static str, Vec<u8>)> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Some((TEXT, b"latest".to_vec()));
    }
    let below = path.strip_prefix("latest")?.trim_start_matches('/');
    if let Some((content_type, value)) = leaves.get(below) {
        return Some((content_type, value.clone()));
    }
    let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
    let names: BTreeSet<String> = leaves
        .keys()
        .filter_map(|leaf| leaf.strip_prefix(&prefix))
        .map(|rest| match rest.split_once('/') {
            Some((directory, _)) => format!("{directory}/"),
            None => rest.to_owned(),
        })
        .collect();
    let listing = names.into_iter().collect::<Vec<_>>().join("\n");
    (!listing.is_empty()).then(|| (TEXT, listing.into_bytes()))
}

/// RFC 3339 in UTC. The calendar is Howard Hinnant's `civil_from_days`.
fn utc_seconds(epoch_s: u64) -> String {
    let (days, second) = (epoch_s / 86_400, epoch_s % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_to_the_second() {
        assert_eq!(utc_seconds(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc_seconds(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(utc_seconds(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc_seconds(1_735_689_599), "2024-12-31T23:59:59Z");
    }

    #[test]
    fn directories_are_listed_with_a_slash_and_unknown_paths_are_absent() {
        let mut leaves = Leaves::new();
        leaves.insert("meta-data/mac".into(), (TEXT, b"02:00".to_vec()));
        leaves.insert("meta-data/placement/region".into(), (TEXT, b"local-1".to_vec()));
        let listing = |path| lookup(&leaves, path).map(|(_, body)| body);
        assert_eq!(listing("/latest/meta-data/"), Some(b"mac\nplacement/".to_vec()));
        assert_eq!(listing("/latest/meta-data/mac"), Some(b"02:00".to_vec()));
        assert_eq!(listing("/latest/meta-data/spot/instance-action"), None);
        assert_eq!(listing("/latest/meta-data/ma"), None);
    }
}
