//! Blank root volumes.

use holdfast_agent::populate_root;

#[test]
fn a_root_is_prepared_once_and_what_a_node_changed_stays() {
    let root = tempfile::tempdir().unwrap();
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
    let root = tempfile::tempdir().unwrap();
    populate_root(root.path()).unwrap();
    let hidden = root.path().join(".holdfast");
    std::fs::rename(hidden.join("populated"), hidden.join("populating")).unwrap();
    std::fs::remove_file(root.path().join("etc/passwd")).unwrap();
    populate_root(root.path()).unwrap();
    assert!(root.path().join("etc/passwd").exists());
}

#[test]
fn a_volume_with_content_is_left_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("precious"), "1").unwrap();
    let refused = populate_root(root.path()).unwrap_err();
    assert!(refused.to_string().contains("precious"), "{refused}");
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
}
