use holdfast_engine::tables::overtakes;
use holdfast_engine::tables::replacement::{TABLE, has, render, rows_of};
use holdfast_model::{Kind, Row};

#[test]
fn every_row_stands_once_and_only_after_rows_above_it() {
    let mut above = Vec::new();
    for spec in TABLE {
        assert!(!above.contains(&spec.row), "{:?} stands twice", spec.row);
        for row in spec.after {
            assert!(above.contains(row), "{:?} comes after {row:?}, which is below", spec.row);
        }
        above.push(spec.row);
    }
    assert_eq!(above.len(), Row::ALL.len());
}

#[test]
fn pause_is_the_first_half_resume_the_second_and_recycle_both() {
    let rows = |kind| rows_of(kind).map(|spec| spec.row).collect::<Vec<_>>();
    let mut both = rows(Kind::Pause);
    both.extend(rows(Kind::Resume));
    both.sort();
    both.dedup();
    let mut recycle = rows(Kind::Recycle);
    recycle.sort();
    // What stands by is launched while an old one serves and a new one is wanted.
    recycle.retain(|row| *row != Row::Standby);
    assert_eq!(both, recycle);
}

#[test]
fn nothing_is_launched_or_retired_before_the_old_generation_is_fenced() {
    for kind in Kind::ALL {
        if has(kind, Row::Stop) && has(kind, Row::Launch) {
            assert!(reaches(kind, Row::Launch, Row::Fence), "{kind:?}");
        }
        if has(kind, Row::Stop) && has(kind, Row::Retire) {
            assert!(reaches(kind, Row::Retire, Row::Fence), "{kind:?}");
        }
    }
}

/// Whether `row` can only run after `before`.
fn reaches(kind: Kind, row: Row, before: Row) -> bool {
    rows_of(kind).filter(|spec| spec.row == row).any(|spec| {
        spec.after.iter().any(|r| has(kind, *r) && (*r == before || reaches(kind, *r, before)))
    })
}

#[test]
fn the_table_in_the_documentation_is_the_table_in_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).expect("ARCHITECTURE.md");
    assert!(
        text.contains(&render()),
        "ARCHITECTURE.md must hold this table as it is:\n{}",
        render()
    );
}

#[test]
fn what_overtakes_a_replacement_stands_in_the_documentation_as_in_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).expect("ARCHITECTURE.md");
    let table = overtakes::render();
    assert!(text.contains(&table), "ARCHITECTURE.md must hold this table as it is:\n{table}");
}

#[test]
fn what_a_row_reports_and_what_happens_to_a_launch_is_decided_in_every_phase_alike() {
    use overtakes::{OVERTAKES, Phase, When};
    for line in OVERTAKES {
        let of_any = |when: &When| {
            matches!(
                when,
                When::LaunchLost | When::LaunchRefused | When::Reported(_) | When::AllDone
            )
        };
        // Only lines of any phase are looked up for these, and only these.
        assert!(line.when.iter().all(|when| of_any(when) == (line.phase == Phase::Any)));
        assert!(!line.then.is_empty() && !line.when.is_empty());
    }
}
