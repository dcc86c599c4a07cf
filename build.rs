//! Migrations are part of the program: a new one has it built again.

fn main() {
    println!("cargo::rerun-if-changed=src/catalog/migrations");
}
