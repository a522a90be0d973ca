//! What EC2 asks of every request, whatever the state of things, and so every cloud does: its client
//! token and its tags.

use crate::refusal::refused;
use holdfast_model::command::MAX_DEVICES;
use holdfast_model::tags::{MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS, Tags};
use holdfast_model::{CloudError, Command, Token};

/// A ClientToken's most characters (EC2 API reference, "Ensuring idempotency").
const MAX_TOKEN: usize = 64;
/// The beginning of keys that nobody but AWS sets.
const RESERVED: &str = "aws:";

/// Refuses a request that no state of things could make a good one.
///
/// # Errors
/// `InvalidParameterValue`, `TagLimitExceeded`.
pub fn check(command: &Command) -> Result<(), CloudError> {
    match command {
        Command::RunInstances(launch) => {
            check_token(&launch.token)?;
            check_tags(&launch.tags)?;
            check_tags(launch.root_tags())?;
            check_tags(launch.own_interface_tags())
        }
        Command::Probe { token, .. } => check_token(token),
        Command::CreateVolume { token, tags, .. }
        | Command::CreateNetworkInterface { token, tags, .. } => {
            check_token(token)?;
            check_tags(tags)
        }
        Command::CreateSnapshot { tags, .. }
        | Command::CreateSnapshots { tags, .. }
        | Command::RegisterImage { tags, .. }
        | Command::CreateTags { tags, .. } => check_tags(tags),
        Command::SetDeleteOnTermination { instance, devices, .. } => {
            if (1..=MAX_DEVICES).contains(&devices.len()) {
                return Ok(());
            }
            let message = format!(
                "{} devices of {instance}: one request names 1 to {MAX_DEVICES}",
                devices.len()
            );
            Err(refused("InvalidParameterValue", message))
        }
        _ => Ok(()),
    }
}

fn check_token(token: &Token) -> Result<(), CloudError> {
    let text = &token.0;
    if !text.is_empty() && text.len() <= MAX_TOKEN && text.is_ascii() {
        return Ok(());
    }
    let message =
        format!("the client token {text:?}: it must have 1 to {MAX_TOKEN} ASCII characters");
    Err(refused("InvalidParameterValue", message))
}

fn check_tags(tags: &Tags) -> Result<(), CloudError> {
    check_count(tags.len())?;
    for (key, value) in tags.iter() {
        let (long_key, long_value) = (key.chars().count(), value.chars().count());
        if !(1..=MAX_TAG_KEY).contains(&long_key)
            || long_value > MAX_TAG_VALUE
            || key.starts_with(RESERVED)
        {
            let message = format!(
                "the tag {key:?} = {value:?}: a key has 1 to {MAX_TAG_KEY} characters and does not \
                 begin with {RESERVED}, a value has at most {MAX_TAG_VALUE}"
            );
            return Err(refused("InvalidParameterValue", message));
        }
    }
    Ok(())
}

/// Refuses more tags than one resource may have.
///
/// # Errors
/// `TagLimitExceeded`.
pub fn check_count(tags: usize) -> Result<(), CloudError> {
    if tags <= MAX_TAGS {
        return Ok(());
    }
    let message = format!("{tags} tags; one resource has at most {MAX_TAGS}");
    Err(refused("TagLimitExceeded", message))
}
