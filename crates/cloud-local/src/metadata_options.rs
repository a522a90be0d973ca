//! `metadataOptions` of a launch, as the node's metadata service takes them.

use holdfast_agent::MetadataOptions;
use serde_json::{Map, Value};

/// Reads the options from a launch's settings. They were checked when the spec was sent; what cannot
/// be read all the same leaves the default, which is the stricter one.
///
/// CloudFormation hands on numbers as texts, so `"2"` is a hop limit too.
pub(crate) fn read(settings: &Map<String, Value>) -> MetadataOptions {
    let default = MetadataOptions::default();
    let Some(options) = settings.get("metadataOptions") else { return default };
    let text = |member: &str| options.get(member).and_then(Value::as_str);
    let hops = options.get("httpPutResponseHopLimit").and_then(|hops| match hops {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|n| u8::try_from(n).ok()),
    });
    MetadataOptions {
        tokens_required: text("httpTokens") != Some("optional"),
        hop_limit: hops.filter(|hops| *hops > 0),
        tags: !text("instanceMetadataTags").is_some_and(|w| w.eq_ignore_ascii_case("disabled")),
    }
}
