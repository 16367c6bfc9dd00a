//! Columns that line up.

/// Which side of a column its cells stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows of cells, the first row being the head.
#[derive(Clone, Debug)]
pub(super) struct Table {
    alignment: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// One with these columns.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let head = columns.iter().map(|(name, _)| (*name).to_owned());
        Self {
            alignment: columns.iter().map(|(_, align)| *align).collect(),
            rows: vec![head.collect()],
        }
    }

    /// Appends a row.
    pub fn push(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Changes every cell below the head from column `first` on.
    pub fn escape(&mut self, change: &dyn Fn(&str) -> String, first: usize) {
        for cell in self
            .rows
            .iter_mut()
            .skip(1)
            .flat_map(|row| row.iter_mut().skip(first))
        {
            *cell = change(cell);
        }
    }

    /// Appends the lines, two blanks between columns, none at the end of a line.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut widths = vec![0; self.alignment.len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), align) in row.iter().zip(&widths).zip(&self.alignment) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                let blanks = " ".repeat(width.saturating_sub(cell.chars().count()));
                match align {
                    Align::Left => line.extend([cell.as_str(), &blanks]),
                    Align::Right => line.extend([blanks.as_str(), cell]),
                }
            }
            out.extend_from_slice(line.trim_end().as_bytes());
            out.push(b'\n');
        }
    }

    /// Appends the lines as a table of GitHub-flavoured Markdown. Cells have to be escaped.
    pub fn write_markdown(&self, out: &mut Vec<u8>) {
        let mut push_line = |cells: &mut dyn Iterator<Item = &str>| {
            out.push(b'|');
            for cell in cells {
                out.push(b' ');
                out.extend_from_slice(cell.as_bytes());
                out.extend_from_slice(b" |");
            }
            out.push(b'\n');
        };
        for (number, row) in self.rows.iter().enumerate() {
            push_line(&mut row.iter().map(String::as_str));
            if number == 0 {
                push_line(&mut self.alignment.iter().map(|align| match align {
                    Align::Left => ":---",
                    Align::Right => "---:",
                }));
            }
        }
    }
}

/// What a name looks like in running text, where nothing that a terminal obeys may stand.
pub(super) fn plain(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    super::escape::push_escaped(text, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// A name as code in Markdown, also in a table's cell: `<code>` with entities, because a name can
/// hold backquotes and bars.
pub(super) fn markdown_code(text: &str) -> String {
    format!("<code>{}</code>", markdown_text(text))
}

/// Text that Markdown and HTML leave as it is.
pub(super) fn markdown_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in plain(text).chars() {
        match letter {
            '&' | '<' | '>' | '*' | '_' | '`' | '|' | '\\' | '[' | ']' | '~' | '#' | '@' | '"' => {
                out.push_str(&format!("&#{};", u32::from(letter)));
            }
            other => out.push(other),
        }
    }
    out
}
