//! The page of the metrics, and the list of them.

use holdfast_controller::metrics::{LIST, Metrics, Type, render};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    std::fs::read_to_string(path).expect("docs/metrics.md")
}

#[test]
fn the_table_in_the_documentation_is_the_list_in_the_code() {
    let table = format!("<!-- table -->\n{}<!-- end -->\n", render());
    assert!(page().contains(&table), "docs/metrics.md must hold this table as it is:\n{table}");
}

#[test]
fn every_metric_that_the_documentation_speaks_of_exists() {
    let text = page();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = text.split(|c| !is_part(c)).filter(|word| word.starts_with("holdfast_"));
    for name in names.filter(|name| *name != "holdfast_controller") {
        let base = name.trim_end_matches("_bucket");
        assert!(LIST.iter().any(|listed| listed.name == base), "{name}");
    }
}

#[test]
fn names_follow_the_conventions_and_no_label_names_a_node() {
    let mut names: Vec<&str> = LIST.iter().map(|listed| listed.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), LIST.len(), "two have one name");
    for listed in LIST {
        assert!(listed.name.starts_with("holdfast_"), "{}", listed.name);
        assert_eq!(listed.name.ends_with("_total"), listed.type_ == Type::Counter);
        assert!(listed.type_ != Type::Histogram || listed.name.ends_with("_seconds"));
        for label in listed.labels {
            assert!(!["node", "id", "name", "instance"].contains(label), "{}", listed.name);
        }
        assert!(!listed.says.ends_with('.') && !listed.says.contains('\n'));
    }
}

#[test]
fn what_is_shown_before_anything_has_happened_is_listed_and_has_its_type() {
    let text = Metrics::new().text().unwrap();
    let shown: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(shown.len() > 3, "{text}");
    for shown in shown {
        let is_it = |l: &holdfast_controller::metrics::Listed| {
            format!("{} {}", l.name.trim_end_matches("_total"), l.type_.name()) == shown
        };
        assert!(LIST.iter().any(is_it), "{shown}");
    }
    // Whoever waits for a failure to be counted must have seen that there was none.
    assert!(text.contains("holdfast_commits_total{result=\"failed\"} 0"), "{text}");
}
