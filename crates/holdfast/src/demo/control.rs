//! The control: the same interruption on a server that does not sync its writes must lose some.
//! If it lost none, the interruptions would not be power cuts and the rest would prove nothing.

use super::report::Control;
use crate::trial::commands::Commands;
use crate::trial::node::{create, interrupt, now, start_writer, wait_for_ack, wait_for_generation};
use crate::trial::say;
use crate::trial::workload::{Patience, Workload};
use std::time::Duration;

/// How long the control is written to.
const WRITE_FOR: Duration = Duration::from_secs(2);
/// The control's name.
const NAME: &str = "control";

/// Plays the control.
pub fn play(commands: &Commands) -> Result<Control, String> {
    say(
        "control: a Redis that does not sync (appendfsync no), interrupted once: it must lose writes",
    );
    let spec = Workload::Redis
        .spec()
        .replace("name: redis", "name: control")
        .replace("--appendfsync always", "--appendfsync no");
    let node = create(commands, NAME, &spec)?;
    let writer = start_writer(commands, NAME, Workload::Redis, &node.ip, Patience::USUAL)?;
    std::thread::sleep(WRITE_FOR);
    interrupt(commands, NAME, None)?;
    wait_for_generation(commands, NAME, node.generation)?;
    wait_for_ack(&writer, NAME, now())?;
    let (acked, lost) = writer.finish(&commands.cloud_dir())?;
    let lost = lost.len();
    say(&format!("control: {lost} of {acked} acknowledged writes are lost"));
    Ok(Control { acked, lost })
}
