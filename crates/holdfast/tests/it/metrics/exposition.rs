//! The text format of OpenMetrics 1.0, read strictly: what is not allowed fails the test.
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>

use std::collections::{BTreeMap, BTreeSet};

/// A metric with all its samples.
#[derive(Debug, Default)]
pub struct Family {
    pub type_: String,
    pub samples: Vec<Sample>,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// Reads a whole scrape.
pub fn read(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("it ends with its mark");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut current = String::new();
    for line in body.lines() {
        assert!(!line.is_empty(), "an empty line");
        if let Some(told) = line.strip_prefix("# ") {
            let (word, rest) = told.split_once(' ').expect(line);
            let (name, says) = rest.split_once(' ').expect(line);
            assert!(is_name(name), "{line}");
            let is_new = name != current;
            if is_new {
                current = name.to_owned();
                let before = families.insert(current.clone(), Family::default());
                assert!(before.is_none(), "{name} stands in two places");
            }
            let family = families.get_mut(&current).unwrap();
            assert!(family.samples.is_empty(), "{line} after its samples");
            match word {
                "HELP" => assert!(!says.is_empty()),
                "TYPE" => {
                    assert!(family.type_.is_empty(), "{line}");
                    assert!(["counter", "gauge", "histogram"].contains(&says), "{line}");
                    family.type_ = says.to_owned();
                }
                "UNIT" => assert!(name.ends_with(&format!("_{says}")), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let sample = sample(line);
        let family = families.get_mut(&current).expect("a sample without a family");
        let suffix = sample.name.strip_prefix(&current).expect(line);
        let allowed: &[&str] = match family.type_.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => panic!("{current} has no type"),
        };
        assert!(allowed.contains(&suffix), "{line}");
        assert!(seen.insert((sample.name.clone(), sample.labels.clone())), "twice: {line}");
        let counts = family.type_ != "gauge";
        assert!(!counts || (sample.value.is_finite() && sample.value >= 0.0), "{line}");
        family.samples.push(sample);
    }
    families.values().filter(|f| f.type_ == "histogram").for_each(check_histogram);
    families
}

/// Buckets grow, their bounds too, and the last one holds everything.
fn check_histogram(family: &Family) {
    let mut series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        if sample.name.ends_with("_bucket") {
            let bound = labels.remove("le").expect("a bucket has a bound");
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
            series.entry(labels).or_default().push((bound, sample.value));
        } else {
            assert!(!labels.contains_key("le"));
            if sample.name.ends_with("_count") {
                counts.insert(labels, sample.value);
            }
        }
    }
    assert_eq!(series.len(), counts.len());
    for (labels, buckets) in series {
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{labels:?}: {buckets:?}");
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, counts[&labels])), "{labels:?}");
    }
}

fn sample(line: &str) -> Sample {
    let at = line.find(['{', ' ']).expect(line);
    let name = line[..at].to_owned();
    assert!(is_name(&name), "{line}");
    let mut labels = BTreeMap::new();
    let mut rest = &line[at..];
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").expect(line);
            assert!(is_name(label) && !label.contains(':'), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix('}').expect(line);
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').expect(line);
    Sample { name, labels, value: value.parse().expect(line) }
}

/// A text up to its closing quote, and what comes after that.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('"' | '\\'))) => c,
                other => panic!("\\{other:?}"),
            }),
            _ => value.push(c),
        }
    }
    panic!("no closing quote in {text}")
}

fn is_name(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
