//! The command `semievol`.

fn main() -> std::process::ExitCode {
    semievol_cli::main()
}
