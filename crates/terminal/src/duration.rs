//! Spans of time, as people write and read them.

use std::time::Duration;

/// The longest span that can be given.
const MOST: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Reads `500ms`, `120s`, `2m`, `1h`; a number alone is seconds.
///
/// # Errors
/// It is no such span, or longer than a week: a sentence that says what to give.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis_each = match unit {
        "ms" => Some(1),
        "" | "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    millis_each
        .zip(number.parse::<u64>().ok())
        .and_then(|(each, number)| number.checked_mul(each))
        .map(Duration::from_millis)
        .filter(|span| *span <= MOST)
        .ok_or_else(|| "give a span such as 500ms, 120s, 2m or 1h, at most 168h".to_owned())
}

/// Writes a span of milliseconds in the unit that people would take.
#[must_use]
pub fn show(millis: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", millis / unit, millis % unit * 10 / unit);
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{} s", tenths(1_000)),
        60_000..3_600_000 => format!("{} m {} s", millis / 60_000, millis / 1_000 % 60),
        3_600_000..172_800_000 => {
            format!("{} h {} m", millis / 3_600_000, millis / 60_000 % 60)
        }
        _ => format!("{} d {} h", millis / 86_400_000, millis / 3_600_000 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_in_every_unit_and_nothing_else() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("120"), Ok(Duration::from_secs(120)));
        assert_eq!(parse("120s"), Ok(Duration::from_secs(120)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse("1h"), Ok(Duration::from_secs(3_600)));
        for wrong in ["", "s", "-1s", "1.5s", "2 m", "1d", "169h", "99999999999999999999s"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn spans_are_shown_in_the_unit_that_people_would_take() {
        let shown: Vec<String> =
            [7, 1_250, 61_999, 3_660_000, 180_000_000].map(show).into_iter().collect();
        assert_eq!(shown, ["7 ms", "1.2 s", "1 m 1 s", "1 h 1 m", "2 d 2 h"]);
    }
}
