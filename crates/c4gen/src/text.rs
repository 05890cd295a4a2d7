//! Widths of text by an embedded table, so that a diagram is the same on every machine whatever
//! fonts it has. The table holds the advance widths of Helvetica, which Arial and Liberation Sans
//! share, in thousandths of the font size; pages ask for those fonts first.

/// Font families in the order the table holds for.
pub const FONT_FAMILY: &str = "Arial, 'Liberation Sans', Helvetica, sans-serif";

/// Regular or bold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Regular.
    Regular,
    /// Bold.
    Bold,
}

const FIRST: char = ' ';
#[rustfmt::skip]
const REGULAR: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];
#[rustfmt::skip]
const BOLD: [u16; 95] = [
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278,
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 333, 333, 584, 584, 584, 611,
    975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556,
    333, 556, 611, 556, 611, 556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611,
    611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389, 280, 389, 584,
];
/// What a character outside the table is taken to need: no Latin letter is wider.
const OTHER: u16 = 1000;

/// Width in pixels of one line.
#[must_use]
pub fn width_pixels(text: &str, size_pixels: f64, weight: Weight) -> f64 {
    let table = match weight {
        Weight::Regular => &REGULAR,
        Weight::Bold => &BOLD,
    };
    let thousandths: u32 = text
        .chars()
        .map(|character| {
            let index = (character as usize).wrapping_sub(FIRST as usize);
            u32::from(table.get(index).copied().unwrap_or(OTHER))
        })
        .sum();
    f64::from(thousandths) * size_pixels / 1000.0
}

/// Breaks at spaces so that no line is wider than asked, unless a single word is.
#[must_use]
pub fn wrap(text: &str, size_pixels: f64, weight: Weight, max_pixels: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line)
                if width_pixels(&format!("{line} {word}"), size_pixels, weight) <= max_pixels =>
            {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Escapes text for HTML and SVG, in elements and in quoted attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_wide_as_its_letters() {
        assert!((width_pixels("Ab", 10.0, Weight::Regular) - 12.23).abs() < 1e-9);
        assert!((width_pixels("Ab", 10.0, Weight::Bold) - 13.33).abs() < 1e-9);
        assert!((width_pixels("→", 10.0, Weight::Bold) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn wrapped_lines_fit_and_lose_nothing() {
        let text = "Source-shaped tables: append or upsert";
        let lines = wrap(text, 11.0, Weight::Regular, 100.0);
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|line| width_pixels(line, 11.0, Weight::Regular) <= 100.0));
        assert_eq!(lines.join(" "), text);
    }
}
