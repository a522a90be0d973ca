//! Spot's own Python SDK, unmodified, against this server. It is installed from PyPI into
//! `target/sdk` the first time.

use crate::server::{Server, TOKEN};
use std::path::{Path, PathBuf};
use std::process::Command;

const SDK: &str = "spotinst-sdk2==3.22.0";

fn run(command: &mut Command, remedy: &str) {
    let shown = format!("{command:?}");
    let output = command.output().unwrap_or_else(|e| panic!("{shown}: {e}. {remedy}"));
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{shown} failed. {remedy}\n{out}\n{err}");
}

fn python_with_sdk() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let dir = target.join("sdk-3.22.0");
    let python = dir.join("bin/python");
    let done = dir.join("installed");
    if !done.exists() {
        let remedy = "This test needs Python 3 with venv and pip: apt-get install python3-venv";
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir), remedy);
        let remedy = "This test needs PyPI (or a mirror, see pip's configuration)";
        let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", SDK];
        run(Command::new(&python).args(quiet), remedy);
        std::fs::write(&done, SDK).unwrap();
    }
    python
}

#[test]
fn the_published_python_sdk_runs_a_nodes_whole_life() {
    let python = python_with_sdk();
    let server = Server::start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/whole_life.py");
    run(
        Command::new(python).arg(script).arg(&server.base).arg(TOKEN),
        "The SDK could not use this server",
    );
}
