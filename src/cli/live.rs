//! A simulated job as a picture that changes in place, below the decisions that changed something.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use super::output::{Column, Table};
use super::play::{HEADER, Played, clock};
use crate::record::Summary;
use crate::record::summary::Count;
use crate::simulate::{Drive, Driven};

/// Columns of the curves: as many polls are seen at a time.
const CURVE_WIDTH: usize = 60;

/// Eighths of a line, from empty to full.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Lines longer than the terminal are clipped: wrapped ones could not be drawn over.
const CLIP: &str = "\u{1b}[?7l";
const WRAP: &str = "\u{1b}[?7h";
/// Clears everything from the cursor on.
const CLEAR: &str = "\u{1b}[J";

/// The picture.
pub(super) struct Live {
    length: Duration,
    /// Lines that the picture takes now, to be drawn over.
    drawn: usize,
    load: VecDeque<f64>,
    backlog: VecDeque<f64>,
    slots: VecDeque<f64>,
    last: Option<Summary>,
}

impl Live {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            drawn: 0,
            load: VecDeque::new(),
            backlog: VecDeque::new(),
            slots: VecDeque::new(),
            last: None,
        }
    }

    /// Draws the picture anew; a decision that says something new stays as a line above it.
    pub(super) fn show(
        &mut self,
        out: &mut impl Write,
        drive: &Drive,
        driven: &Driven,
        told: &Played,
    ) -> io::Result<()> {
        let truth = &driven.truth;
        for (curve, value) in [
            (&mut self.load, truth.load()),
            (&mut self.backlog, truth.backlog()),
            (&mut self.slots, f64::from(truth.slots_held)),
        ] {
            curve.push_back(value);
            if curve.len() > CURVE_WIDTH {
                curve.pop_front();
            }
        }
        let mut frame = String::from(CLIP);
        if self.drawn > 0 {
            let _ = write!(frame, "\u{1b}[{}F", self.drawn);
        }
        frame.push_str(CLEAR);
        if self.last.is_none() {
            let _ = writeln!(frame, "{HEADER}");
        }
        if self.last.as_ref().is_none_or(|last| told.summary.is_news_after(last)) {
            let _ = writeln!(frame, "{}", super::output::Show::show(told));
            self.last = Some(told.summary.clone());
        }
        let picture = self.picture(drive, driven, told);
        self.drawn = picture.lines().count();
        frame.push_str(&picture);
        frame.push_str(WRAP);
        out.write_all(frame.as_bytes())?;
        out.flush()
    }

    /// Takes the picture away; what was above it stays.
    pub(super) fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.drawn > 0 {
            write!(out, "\u{1b}[{}F{CLEAR}", self.drawn)?;
            self.drawn = 0;
        }
        writeln!(out)
    }

    fn picture(&self, drive: &Drive, driven: &Driven, told: &Played) -> String {
        let simulation = &drive.simulation;
        let (truth, scenario) = (&driven.truth, simulation.scenario());
        let slots = simulation.slots();
        let mut text = format!(
            "\n{} on Flink {} (simulated)   {} of {}   {:?}\n\n",
            scenario.name,
            scenario.flink_version,
            clock(told.elapsed),
            clock(self.length),
            truth.state
        );
        for (title, value, curve) in [
            ("load/s", Count(truth.load()).to_string(), &self.load),
            ("waiting", Count(truth.backlog()).to_string(), &self.backlog),
            ("slots", format!("{}/{}", truth.slots_held, slots.total), &self.slots),
        ] {
            let _ = writeln!(text, "{title:<8} {value:>7}  {}", sparkline(curve));
        }
        let mut table = Table::new(&[
            Column::Left("VERTEX"),
            Column::Right("SUBTASKS"),
            Column::Right("IN/S"),
            Column::Right("CAPACITY/S"),
            Column::Right("FULL"),
            Column::Left("SIZE"),
        ]);
        let wants = driven.decision.proposal.as_ref().map_or(&[][..], |proposal| &proposal.wants);
        for (index, vertex) in scenario.vertices.iter().enumerate() {
            let want = wants.get(index);
            let known = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
            let size = truth.parallelism.get(index).copied().unwrap_or(0);
            table.row([
                vertex.name.clone(),
                size.to_string(),
                Count(truth.throughput.get(index).copied().unwrap_or(0.0)).to_string(),
                known(want.and_then(|want| want.capacity).map(|rate| Count(rate).to_string())),
                known(want.and_then(|want| want.utilization).map(|share| format!("{:.0}%", share * 100.0))),
                "▪".repeat(usize::try_from(size).unwrap_or(0).min(CURVE_WIDTH)),
            ]);
        }
        let _ = write!(text, "\n{table}\n\n{}: {}\n", told.outcome, told.summary.because);
        text
    }
}

/// A curve on one line, from nothing to the most of what is seen.
fn sparkline(values: &VecDeque<f64>) -> String {
    let most = values.iter().copied().fold(0.0, f64::max);
    let eighths = |value: f64| {
        let share = if most > 0.0 { value / most } else { 0.0 };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the most is from 0 to 1, and a cast saturates"
        )]
        let level = (share * 8.0).round() as usize;
        EIGHTHS[level.min(8)]
    };
    values.iter().map(|&value| eighths(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_a_curve_from_nothing_to_the_most() {
        for (values, text) in
            [(&[][..], ""), (&[0.0, 0.0], "  "), (&[0.0, 50.0, 100.0], " ▄█"), (&[7.0, 7.0], "██")]
        {
            assert_eq!(sparkline(&values.iter().copied().collect()), text);
        }
    }
}
