use holdfast_scratch::Scratch;
use std::process::Command;

#[test]
fn without_the_binary_holdfast_beside_its_own_a_trial_says_how_to_build_it() {
    let dir = Scratch::new();
    let alone = dir.path().join("holdfast-trials");
    let own = env!("CARGO_BIN_EXE_holdfast-trials");
    std::fs::hard_link(own, &alone).or_else(|_| std::fs::copy(own, &alone).map(|_| ())).unwrap();
    for words in [vec!["demo"], vec!["soak"], vec!["bench", "blackout"]] {
        let data = dir.path().join("data");
        let output = Command::new(&alone)
            .current_dir(dir.path())
            .args(&words)
            .arg("--data-dir")
            .arg(&data)
            .output()
            .unwrap();
        let why = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {why}");
        let missing = dir.path().join("holdfast").display().to_string();
        assert!(why.contains(&missing) && why.contains("make build"), "{words:?}: {why}");
        assert!(!data.exists(), "{words:?}");
    }
}
