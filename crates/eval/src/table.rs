use std::fmt;

/// Where a column's cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Align {
    /// Text.
    #[default]
    Left,
    /// Numbers.
    Right,
}

/// A small table for results, as plain text (`Display`) or markdown.
///
/// ```
/// use semievol_eval::{Align, Table};
///
/// let mut table = Table::new([("method", Align::Left), ("accuracy", Align::Right)]);
/// table.row(["labels only", "61.2"]);
/// table.row(["semievol", "7.25"]);
/// assert_eq!(table.to_string(), "\
/// method       accuracy
/// labels only      61.2
/// semievol         7.25
/// ");
/// assert_eq!(table.to_markdown(), "\
/// | method      | accuracy |
/// | ----------- | -------: |
/// | labels only |     61.2 |
/// | semievol    |     7.25 |
/// ");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    columns: Vec<Align>,
    /// The header first.
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no row.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = (S, Align)>) -> Table {
        let (header, columns) = columns.into_iter().map(|(name, align)| (name.into(), align)).unzip();
        Table { columns, rows: vec![header] }
    }

    /// Adds a row. Missing cells are empty; more cells than columns are left out.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> &mut Self {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
        self
    }

    /// The table in markdown; `|` and line ends in cells are escaped.
    pub fn to_markdown(&self) -> String {
        let escape =
            |cell: &String| cell.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ");
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(escape).collect()).collect();
        // Markdown needs three dashes.
        let widths: Vec<usize> = self.widths(&rows).into_iter().map(|width| width.max(3)).collect();
        let rule = self.columns.iter().zip(&widths).map(|(align, width)| match align {
            Align::Left => "-".repeat(*width),
            Align::Right => format!("{}:", "-".repeat(width - 1)),
        });
        let mut lines: Vec<String> =
            rows.iter().map(|row| format!("| {} |\n", self.padded(row, &widths).join(" | "))).collect();
        lines.insert(1, format!("| {} |\n", rule.collect::<Vec<_>>().join(" | ")));
        lines.concat()
    }

    /// Widths in characters.
    fn widths(&self, rows: &[Vec<String>]) -> Vec<usize> {
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        (0..self.columns.len()).map(width).collect()
    }

    fn padded(&self, row: &[String], widths: &[usize]) -> Vec<String> {
        let cells = row.iter().zip(widths).zip(&self.columns);
        cells
            .map(|((cell, width), align)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            })
            .collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths(&self.rows);
        for row in &self.rows {
            writeln!(f, "{}", self.padded(row, &widths).join("  ").trim_end())?;
        }
        Ok(())
    }
}
