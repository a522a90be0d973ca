use holdfast_store::conformance;
use holdfast_store::memory::MemoryStore;
use holdfast_store::sqlite::SqliteStore;

#[test]
fn the_memory_store_does_what_every_store_must() {
    conformance::run(&mut || Box::new(MemoryStore::new()));
}

#[test]
fn the_sqlite_store_does_what_every_store_must() {
    let dirs = tempfile::tempdir().unwrap();
    let mut made = 0;
    conformance::run(&mut || {
        made += 1;
        Box::new(SqliteStore::open(&dirs.path().join(made.to_string())).unwrap())
    });
}
