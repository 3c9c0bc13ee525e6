//! The binary: all of it is in the library, so that tests and tools can call it.

use tidegate::cli::{self, exit::Exit};

fn main() -> Exit {
    cli::main()
}
