//! What it takes to read two hundred lines of policies, tests included, and to say what is wrong or unwise in them.

use criterion::Criterion;
use tidegate::config::{Library, Source, builtin, lint};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let names = ["throughput", "business-hours", "cautious"];
    let texts: Vec<&str> =
        names.iter().map(|name| builtin::get(name).expect("it comes with the program").text).collect();
    let file = Source::new("policies.yaml", texts.join("---\n"));
    let lines = file.text().lines().count();
    assert!((200..300).contains(&lines), "{lines} lines");
    let lint = || lint(std::slice::from_ref(&file), &Library::built_in()).expect("nothing is wrong in it");
    assert_eq!(lint(), []);
    criterion.bench_function("lint/200 lines", |bencher| bencher.iter(lint));
    criterion.final_summary();
}
