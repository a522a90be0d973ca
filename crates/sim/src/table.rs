//! Tables of counts, as text.

/// A line: its name, and its cells, right-aligned in columns of this width.
pub(crate) fn line(
    text: &mut String,
    name: &str,
    width: usize,
    cells: impl IntoIterator<Item = String>,
) {
    text.push_str(&format!("{name:<15}"));
    for cell in cells {
        text.push_str(&format!("{cell:>width$}"));
    }
    text.push('\n');
}

/// A count; `-` where there can be none.
pub(crate) fn cell(count: u64, can_be: bool) -> String {
    if count == 0 && !can_be { "-".to_owned() } else { count.to_string() }
}
