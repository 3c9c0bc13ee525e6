//! `tidegate policy show`

use std::io::{self, Write as _};

use anyhow::anyhow;
use serde::Serialize;

use crate::cli::args::OutputArgs;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::output::{Column, Show, Table};
use crate::config::{Hint, builtin};

/// Print the file of a built-in policy, or list them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate policy show
  tidegate policy show throughput > my-policy.yaml")]
pub(super) struct Args {
    /// The policy's name; without it, all are listed
    name: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Serialize)]
struct Listed(Vec<Policy>);

#[derive(Debug, Serialize)]
struct Policy {
    name: &'static str,
    about: &'static str,
}

impl Show for Listed {
    fn show(&self) -> String {
        let mut table = Table::new(&[Column::Left("POLICY"), Column::Left("WHAT IT IS FOR")]);
        for Policy { name, about } in &self.0 {
            table.row([name, about]);
        }
        table.to_string()
    }
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let mut out = io::stdout().lock();
    let Some(name) = &args.name else {
        let policies =
            builtin::list().iter().map(|policy| Policy { name: policy.name, about: policy.about() });
        args.output.output.print(&mut out, &Listed(policies.collect())).or_exit(Exit::Failed)?;
        return Ok(Exit::Done);
    };
    let names = || builtin::list().iter().map(|policy| policy.name);
    let policy = builtin::get(name)
        .ok_or_else(|| anyhow!("no built-in policy {name:?}; {}", Hint::new(name, names())))
        .or_exit(Exit::Usage)?;
    out.write_all(policy.text.as_bytes()).or_exit(Exit::Failed)?;
    Ok(Exit::Done)
}
