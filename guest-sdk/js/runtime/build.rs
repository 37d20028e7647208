//! Room for the stack of C: JavaScript may use half of it, see `STACK_BYTES_MAX`.

fn main() {
    println!("cargo::rustc-link-arg-cdylib=-zstack-size=2097152");
}
