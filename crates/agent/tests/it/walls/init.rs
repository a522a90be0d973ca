//! What a node can do to its own init, which the host waits for.

use holdfast_agent::ScriptOutcome;

use crate::machine::Machine;

#[test]
fn a_pipe_or_a_link_where_init_writes_a_script_does_not_hold_it_up() {
    let mut machine = Machine::new();
    machine.config.shutdown_script = Some("#!/bin/sh\nexit 5\n".into());
    machine.start();
    for trap in ["mkfifo $s", "ln -s /root/elsewhere $s", "sleep 1000 > $s & true"] {
        machine.shell(&format!(
            "s=/run/holdfast/shutdown-script; mkdir -p /run/holdfast; rm -f $s; {trap}"
        ));
        let outcome = machine.client().run_shutdown_script(10_000).unwrap();
        assert_eq!(outcome, ScriptOutcome::Exited { code: 5 }, "{trap}");
        machine.client().check().unwrap();
    }
    assert_ne!(machine.exec(&["test", "-e", "/root/elsewhere"]).status.code(), Some(0));
}
