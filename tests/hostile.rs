//! Agents that mean harm.

use crate::support::{guest, workspace};
use countersign::authority::Capability;
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::engine::limits::Limits;
use countersign::host::{Host, Install, Options, View};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A component that fits the world, of which a row of a table changes one part.
#[derive(Clone, Copy)]
struct Core {
    /// Fields of the module that owns the memory.
    memory: &'static str,
    /// Body of the allocator the host calls, which is given `$size` and `$align`.
    realloc: &'static str,
    /// Fields of the main module.
    fields: &'static str,
    /// Body of `handle-intent`; gives the address of its answer.
    handle: &'static str,
    /// Body of what is called when the host has read the answer.
    post: &'static str,
}

/// Answers every intent with nothing.
const HARMLESS: Core = Core {
    memory: "(memory (export \"memory\") 1)",
    realloc: "(global.get $next) (global.set $next (i32.add (global.get $next) (local.get $size)))",
    fields: "",
    handle: "(i32.const 0)",
    post: "",
};

impl Core {
    fn component_with(self, more: &str) -> Vec<u8> {
        let Core { memory, realloc, fields, handle, post } = self;
        let text = format!(
            r#"(component
  (import "countersign:types/types@0.1.0" (instance $types
    (type $error (record (field "code" string) (field "message" string) (field "details" (option string))))
    (export "tool-error" (type (eq $error)))
    (type $intent (record (field "action" string) (field "parameters" string)))
    (export "intent" (type (eq $intent)))
    (type $context (record (field "text" (option string)) (field "user-id" string) (field "timestamp" f64)
                           (field "now" string) (field "extras" (option string))))
    (export "context" (type (eq $context)))
    (type $card (record (field "kind" string) (field "title" string) (field "content" (option string))))
    (export "card" (type (eq $card)))))
  (alias export $types "tool-error" (type $error))
  (alias export $types "intent" (type $intent))
  (alias export $types "context" (type $context))
  (alias export $types "card" (type $card))
  (import "countersign:approval/approval@0.1.0" (instance $approval
    (alias outer 1 $error (type $outer))
    (export "tool-error" (type $error (eq $outer)))
    (type $answer (record (field "approved" bool) (field "approval-id" string) (field "timestamp" string)
                          (field "extras" (option string))))
    (export "answer" (type $answer' (eq $answer)))
    (export "result" (func (param "approval-id" string) (result (result (option $answer') (error $error)))))))
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-u64" (func (result u64)))
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
  (core func $number (canon lower (func $random "get-random-u64")))
  (core instance $free (export "number" (func $number)))
  (core module $libc
    (import "host" "number" (func $number (result i64)))
    (global $next (mut i32) (i32.const 1024))
    {memory}
    (func (export "realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32) {realloc}))
  (core instance $libc (instantiate $libc (with "host" (instance $free))))
  (core func $result
    (canon lower (func $approval "result") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $bytes
    (canon lower (func $random "get-random-bytes") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core instance $host (export "number" (func $number)) (export "result" (func $result))
                       (export "bytes" (func $bytes)))
  (core module $main
    (import "libc" "memory" (memory 0))
    (import "host" "number" (func $number (result i64)))
    (import "host" "result" (func $result (param i32 i32 i32)))
    (import "host" "bytes" (func $bytes (param i64 i32)))
    {fields}
    (func (export "handle") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 f64 i32 i32 i32 i32 i32) (result i32)
      {handle})
    (func (export "post") (param i32) {post}))
  {more}
  (core instance $main (instantiate $main (with "libc" (instance $libc)) (with "host" (instance $host))))
  (func (export "handle-intent")
    (param "intent" $intent) (param "context" $context) (result (result (option $card) (error $error)))
    (canon lift (core func $main "handle") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))
                (post-return (core func $main "post")))))"#
        );
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explore() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::open(Options {
        data: folder.path().join("data"),
        config: Config::default(),
        clock: Arc::new(Clock::system()),
        cache: None,
        limits: Limits { fuel_max: 20_000_000, wall_max: Duration::from_secs(3) },
        in_memory: true,
    })
    .unwrap();
    let _ = (guest("guest-script"), json!(0), Capability::MessagesRead);
    let forever = "(loop (br 0)) unreachable";

    let wrap = |inner: &str| HARMLESS.component_with(inner);
    let many = |n: usize, text: &str| text.repeat(n);
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("sum", wrap("(core module $big (memory 1024)) (core instance (instantiate $big)) (core instance (instantiate $big))")),
        ("8 memories", wrap(&format!("(core module $big (memory 1)) {}", many(7, "(core instance (instantiate $big))")))),
        ("9 memories", wrap(&format!("(core module $big (memory 1)) {}", many(8, "(core instance (instantiate $big))")))),
        ("32 tables", wrap(&format!("(core module $big (table 1 funcref)) {}", many(32, "(core instance (instantiate $big))")))),
        ("33 tables", wrap(&format!("(core module $big (table 1 funcref)) {}", many(33, "(core instance (instantiate $big))")))),
        ("126 inst", wrap(&format!("(core module $big) {}", many(126, "(core instance (instantiate $big))")))),
        ("200 inst", wrap(&format!("(core module $big) {}", many(200, "(core instance (instantiate $big))")))),
        ("20 nested", wrap(&format!("{}{}", many(20, "(component "), many(20, ")")))),
        ("nested strings", wrap("(component $n (core module $m (memory (export \"memory\") 1)))(instance (instantiate $n))")),
        ("bad sig", wat::parse_str("(component (core module $m (func (export \"f\"))) (core instance $i (instantiate $m)) (func (export \"handle-intent\") (canon lift (core func $i \"f\"))))").unwrap()),
        ("instance export", wat::parse_str("(component (instance $i) (export \"handle-intent\" (instance $i)))").unwrap()),
        ("deep blocks", wrap(&format!("(core module (func {} {}))", many(50_000, "block "), many(50_000, "end ")))),
        ("locals", wrap(&format!("(core module (func (local {})))", many(49_000, "i64 ")))),
        ("locals+", wrap(&format!("(core module (func (local {})))", many(60_000, "i64 ")))),
        ("types", wrap(&format!("(core module {})", many(100_000, "(type (func (param i32)))")))),
        ("ctypes", wrap(&many(100_000, "(type (list u8))"))),
        ("deep types", { let mut t = String::from("(type $t0 (list u8))"); for n in 1..2000 { t += &format!("(type $t{n} (list $t{}))", n-1); } wrap(&t) }),
        ("wide types", { let mut t = String::from("(type $t0 (tuple u8 u8 u8 u8))"); for n in 1..40 { t += &format!("(type $t{n} (tuple $t{0} $t{0} $t{0} $t{0}))", n-1); } wrap(&t) }),
        ("funcs", wrap(&format!("(core module {})", many(100_000, "(func)")))),
        ("brtable", wrap(&format!("(core module (func (loop (br_table {} (i32.const 0)))))", many(100_000, "0 ")))),
        ("imports", wat::parse_str(format!("(component {})", (0..100_000).map(|n| format!("(import \"a:b/c{n}\" (instance))")).collect::<String>())).unwrap()),
        ("adds", wrap(&format!("(core module (func (result i32) (local i32) (local.get 0) {}))", many(300_000, "(i32.add (local.get 0) (i32.const 7))  i32.mul ")))),
    ];
    let manifest =
        r#"{"id":"test.agent.wat","name":"A","version":"1.0.0","description":"","capabilities":[]}"#;
    for (name, core) in rows {
        let t = std::time::Instant::now();
        let how = Install { manifest: Some(manifest.into()), ..Install::default() };
        let bytes = core.len();
        let ok = host.install("local", core, how, "t").await.map(|_| ()).map_err(|e| e.to_string().len());
        println!("{name}: {bytes} {:?} {ok:?}", t.elapsed());
        let _: Option<(View, Map<String, Value>)> = None;
    }
    let _: Value = json!(0);
}
