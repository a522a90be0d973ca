use std::path::Path;

/// The binary's floors, the highest first: which command it is, what commands do, the server's routes to
/// this host's cloud, what people read, the command line, and how a server is spoken to.
const FLOORS: [&[&str]; 6] = [
    &["cli"],
    &[
        "cli::addresses",
        "cli::backup",
        "cli::deallocation",
        "cli::events",
        "cli::exec",
        "cli::fleet",
        "cli::generations",
        "cli::instances",
        "cli::local",
        "cli::market",
        "cli::nodes",
        "cli::pool",
        "cli::serve",
        "cli::spec",
        "cli::unaccounted",
        "cli::user_volumes",
    ],
    &[
        "cli::address_routes",
        "cli::host",
        "cli::instance_routes",
        "cli::log_lines",
        "cli::market_routes",
        "cli::memory",
        "cli::pool_routes",
        "cli::routes",
        "cli::unaccounted_routes",
        "cli::volume_routes",
    ],
    &["cli::local_tables", "cli::tables", "cli::wait", "cli::whereabouts"],
    &["cli::arguments"],
    &["cli::client", "cli::options", "cli::sample"],
];

#[test]
fn no_file_names_one_that_stands_above_it() {
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let faults = holdfast_floors::faults(source, &FLOORS).unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
