//! Tells the program which versions of its libraries it was built with.

fn main() {
    println!("cargo::rerun-if-changed=Cargo.lock");
    let lock = std::fs::read_to_string("Cargo.lock").expect("Cargo.lock cannot be read");
    for library in ["tonic", "reqwest"] {
        let start = format!("name = \"{library}\"\nversion = \"");
        let version = lock
            .split(&start)
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("a locked version");
        println!("cargo::rustc-env={}_VERSION={version}", library.to_uppercase());
    }
}
