//! What commands print: a table for people, JSON or YAML for programs, all from one value.

use std::fmt::{self, Display};
use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, presets};
use serde::Serialize;

use super::yaml;

/// The form of what is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For programs, and people.
    Yaml,
}

/// What can be printed in every form.
pub trait Show: Serialize {
    /// The form for people: a [`Table`], or any text.
    fn show(&self) -> String;
}

impl Output {
    /// Prints the one result of a command.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn print(self, out: &mut impl Write, value: &impl Show) -> io::Result<()> {
        match self {
            Self::Table => writeln!(out, "{}", value.show().trim_end()),
            Self::Json => {
                serde_json::to_writer_pretty(&mut *out, value)?;
                writeln!(out)
            }
            Self::Yaml => out.write_all(yaml::to_string(&serde_json::to_value(value)?).as_bytes()),
        }
    }

    /// Prints one of many results, as they come: JSON on one line, YAML as a document of its own.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn print_next(self, out: &mut impl Write, value: &impl Show) -> io::Result<()> {
        match self {
            Self::Json => {
                serde_json::to_writer(&mut *out, value)?;
                writeln!(out)?;
            }
            Self::Yaml => {
                writeln!(out, "---")?;
                self.print(out, value)?;
            }
            Self::Table => self.print(out, value)?,
        }
        // Who follows the output wants to see each as it happens, even through a pipe.
        out.flush()
    }
}

/// A table as kubectl prints it: columns, no lines, and nothing that a script could not cut at blanks.
#[derive(Clone, Debug)]
pub struct Table(comfy_table::Table);

/// A column's title, and at which side its cells begin.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// Texts.
    Left(&'static str),
    /// Numbers: their last digits stand below each other.
    Right(&'static str),
}

impl Table {
    /// A table with these columns.
    pub fn new(columns: &[Column]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(
            columns
                .iter()
                .map(|(Column::Left(title) | Column::Right(title))| Cell::new(title))
                .collect::<Vec<_>>(),
        );
        for (index, column) in columns.iter().enumerate() {
            if let Some(made) = table.column_mut(index) {
                // The blank between two columns; none before the first.
                made.set_padding((0, 2));
                if let Column::Right(_) = column {
                    made.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        Self(table)
    }

    /// Adds a row, a cell for each column.
    pub fn row<C: Display>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.0.add_row(cells.into_iter().map(|cell| Cell::new(cell.to_string())).collect::<Vec<_>>());
    }

    /// Wraps the cells so that the table is no wider than this.
    #[must_use]
    pub fn fit(mut self, width: u16) -> Self {
        self.0.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        self
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.trim_fmt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Size {
        vertex: &'static str,
        parallelism: u32,
    }

    impl Show for Size {
        fn show(&self) -> String {
            let mut table =
                Table::new(&[Column::Left("VERTEX"), Column::Right("SUBTASKS"), Column::Left("WHY")]);
            table.row([self.vertex, &self.parallelism.to_string(), "it is full"]);
            table.row(["sink", "12", ""]);
            table.to_string()
        }
    }

    #[test]
    fn prints_one_value_in_every_form() {
        let size = Size { vertex: "a: b", parallelism: 4 };
        for (output, all, next) in [
            (
                Output::Table,
                "VERTEX  SUBTASKS  WHY\na: b           4  it is full\nsink          12\n",
                "VERTEX  SUBTASKS  WHY\na: b           4  it is full\nsink          12\n",
            ),
            (
                Output::Json,
                "{\n  \"vertex\": \"a: b\",\n  \"parallelism\": 4\n}\n",
                "{\"vertex\":\"a: b\",\"parallelism\":4}\n",
            ),
            (Output::Yaml, "vertex: \"a: b\"\nparallelism: 4\n", "---\nvertex: \"a: b\"\nparallelism: 4\n"),
        ] {
            let (mut one, mut another) = (Vec::new(), Vec::new());
            output.print(&mut one, &size).expect("memory takes it");
            output.print_next(&mut another, &size).expect("memory takes it");
            assert_eq!(String::from_utf8_lossy(&one), all);
            assert_eq!(String::from_utf8_lossy(&another), next);
        }
    }

    #[test]
    fn wraps_what_is_too_wide() {
        let mut table = Table::new(&[Column::Left("VERTEX"), Column::Left("WHY")]);
        table.row(["enrich", "it is full and its backlog grows by a lot"]);
        let text = table.fit(30).to_string();
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.chars().count() <= 30), "{text}");
    }
}
