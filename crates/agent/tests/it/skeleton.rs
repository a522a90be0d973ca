//! Blank root volumes.

use holdfast_agent::{lay_out_root, populate_root, root_mark};

#[test]
fn a_root_is_prepared_once_and_what_a_node_changed_stays() {
    let root = holdfast_scratch::Scratch::new();
    populate_root(root.path()).unwrap();
    let hosts = root.path().join("etc/passwd");
    std::fs::write(&hosts, "changed").unwrap();
    populate_root(root.path()).unwrap();
    assert_eq!(std::fs::read_to_string(&hosts).unwrap(), "changed");
    assert_eq!(
        std::fs::read_link(root.path().join("lib64")).unwrap(),
        std::path::Path::new("usr/lib64")
    );
    for secret in ["etc/ssh", "etc/ssl/private", "etc/sudoers", "etc/redis", "etc/postgresql"] {
        assert!(!root.path().join(secret).exists(), "{secret}");
    }
}

#[test]
fn an_interrupted_preparation_is_finished_later() {
    let root = holdfast_scratch::Scratch::new();
    populate_root(root.path()).unwrap();
    let hidden = root.path().join(".holdfast");
    std::fs::rename(hidden.join("populated"), hidden.join("populating")).unwrap();
    std::fs::remove_file(root.path().join("etc/passwd")).unwrap();
    populate_root(root.path()).unwrap();
    assert!(root.path().join("etc/passwd").exists());
}

#[test]
fn a_volume_with_content_is_left_as_it_is() {
    let root = holdfast_scratch::Scratch::new();
    std::fs::write(root.path().join("precious"), "1").unwrap();
    let refused = populate_root(root.path()).unwrap_err();
    assert!(refused.to_string().contains("precious"), "{refused}");
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn copies_of_what_was_laid_out_once_become_machines_of_their_own() {
    let made = holdfast_scratch::Scratch::new();
    lay_out_root(made.path()).unwrap();
    assert!(!made.path().join("etc/machine-id").exists());
    let mut ids = Vec::new();
    for copy in ["a", "b"] {
        let copy = made.path().with_extension(copy);
        let copied = std::process::Command::new("cp").arg("-a").args([made.path(), &copy]).status();
        assert!(copied.unwrap().success());
        populate_root(&copy).unwrap();
        ids.push(std::fs::read_to_string(copy.join("etc/machine-id")).unwrap());
        assert!(copy.join(".holdfast/populated").exists() && copy.join("etc/passwd").exists());
        std::fs::remove_dir_all(copy).unwrap();
    }
    assert_ne!(ids[0], ids[1]);
    assert_eq!(root_mark().unwrap(), root_mark().unwrap());
}
