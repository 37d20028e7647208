//! Rules about the code itself that the compiler does not know.

use crate::support::workspace;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a module: what stands before its tests, without comments.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// Module of the host, and what it may not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("tools", &["crate::store", "crate::backends", "crate::engine", "crate::host", "rusqlite"]),
    (
        "journal",
        &[
            "crate::store",
            "crate::backends",
            "crate::engine",
            "crate::tools",
            "crate::host",
            "wasmtime",
            "rusqlite",
        ],
    ),
    (
        "approval",
        &[
            "crate::store",
            "crate::backends",
            "crate::engine",
            "crate::tools",
            "crate::host",
            "crate::journal",
            "wasmtime",
            "rusqlite",
        ],
    ),
    (
        "authority",
        &[
            "crate::store",
            "crate::engine",
            "crate::tools",
            "crate::journal",
            "crate::approval",
            "wasmtime",
            "rusqlite",
        ],
    ),
    ("intent", &["crate::store", "crate::engine", "crate::tools", "crate::journal", "wasmtime", "rusqlite"]),
    ("agent", &["crate::store", "crate::engine", "crate::tools", "crate::journal", "rusqlite"]),
    ("engine", &["crate::store", "crate::backends", "crate::host", "crate::config", "rusqlite"]),
    ("backends", &["crate::engine", "crate::host", "wasmtime", "rusqlite"]),
    ("store", &["crate::engine", "crate::backends", "crate::host", "wasmtime"]),
    (
        "audit.rs",
        &["crate::store", "crate::engine", "crate::tools", "crate::journal", "crate::host", "rusqlite"],
    ),
    (
        "people",
        &[
            "crate::store",
            "crate::engine",
            "crate::tools",
            "crate::journal",
            "crate::host",
            "wasmtime",
            "rusqlite",
        ],
    ),
    ("address.rs", &["crate::"]),
    ("moment.rs", &["crate::"]),
    ("refusals", &["crate::"]),
    (
        "notify.rs",
        &[
            "crate::store",
            "crate::backends",
            "crate::engine",
            "crate::tools",
            "crate::host",
            "crate::journal",
            "crate::approval",
            "crate::intent",
            "crate::agent",
            "wasmtime",
            "rusqlite",
        ],
    ),
    ("../cli/src", &["wasmtime", "rusqlite"]),
];

/// The code of the host and of its doors.
fn host() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["host/src", "host/cli/src"] {
        sources(&workspace().join(folder), &mut files);
    }
    files
}

#[test]
fn modules_depend_in_one_direction() {
    let mut broken = Vec::new();
    for (module, forbidden) in FORBIDDEN {
        let place = workspace().join("host/src").join(module);
        assert!(place.exists(), "the table names {module}, which is not there");
        let mut files = Vec::new();
        if place.is_dir() {
            sources(&place, &mut files)
        } else {
            files.push(place)
        }
        for file in files {
            let code = code(&file);
            for name in *forbidden {
                if code.contains(name) {
                    broken.push(format!("{} names {name}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_the_host_tells_people_that_something_waits() {
    let (top, inner) = (workspace().join("host/src/host.rs"), workspace().join("host/src/host"));
    for file in host().iter().filter(|file| **file != top && !file.starts_with(&inner)) {
        let code = code(file);
        for name in ["crate::notify", "countersign::notify"] {
            assert!(!code.contains(name), "{} names {name}", file.display());
        }
    }
}

#[test]
fn only_the_clock_reads_time_and_randomness() {
    for file in host().iter().filter(|file| !file.ends_with("clock.rs")) {
        let code = code(file);
        for name in ["SystemTime::now", "Timestamp::now", "getrandom", "Zoned::now"] {
            assert!(!code.contains(name), "{} reads {name}", file.display());
        }
    }
}

#[test]
fn a_permit_is_made_in_one_place() {
    let makers: Vec<_> = host()
        .iter()
        .filter(|file| code(file).contains("Permit { scope"))
        .map(|file| file.display().to_string())
        .collect();
    assert_eq!(makers.len(), 1, "{makers:?}");
    assert!(makers[0].ends_with("authority/mod.rs"));
}

#[test]
fn unsafe_code_stands_in_one_place() {
    let places: Vec<_> = host()
        .iter()
        .filter(|file| code(file).contains("unsafe {"))
        .map(|file| file.strip_prefix(workspace()).unwrap().display().to_string())
        .collect();
    assert_eq!(places, ["host/src/engine/compile.rs"]);
}

#[test]
fn the_frozen_contract_is_still_part_of_the_contract() {
    // The guest under `tests/guests/frozen` is built from a copy of the contract as first published. Whatever stands there
    // must still stand in `wit/`, line for line: additions are welcome, changes are not.
    let frozen = workspace().join("tests/guests/frozen/wit");
    for file in
        ["agent.wit", "deps/types/types.wit", "deps/messages/messages.wit", "deps/approval/approval.wit"]
    {
        let old = std::fs::read_to_string(frozen.join(file)).unwrap();
        let new = std::fs::read_to_string(workspace().join("wit").join(file)).unwrap();
        let declarations = |text: &str| -> Vec<String> {
            text.lines()
                .map(str::trim)
                .filter(|l| !l.is_empty() && !l.starts_with("///"))
                .map(str::to_owned)
                .collect()
        };
        let new = declarations(&new);
        for line in declarations(&old) {
            assert!(new.contains(&line), "{file} no longer has: {line}");
        }
    }
}

#[test]
fn wasmtime_is_at_least_the_release_with_the_limits_we_rely_on() {
    let lock = std::fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    for package in ["wasmtime", "wasmtime-wasi"] {
        let versions: Vec<_> = lock
            .split("[[package]]")
            .filter(|entry| entry.contains(&format!("name = \"{package}\"\n")))
            .map(|entry| entry.split("version = \"").nth(1).unwrap().split('"').next().unwrap().to_owned())
            .collect();
        assert_eq!(versions.len(), 1, "one engine per process: {package} {versions:?}");
        let version = semver::Version::parse(&versions[0]).unwrap();
        assert_eq!(version.major, 48, "{package}");
        assert!(version >= semver::Version::new(48, 0, 8), "{package} {version}");
    }
}

#[test]
fn the_table_of_limits_shows_the_limits_that_are_in_force() {
    use countersign::agent::{manifest, package, schema};
    use countersign::approval::{self, body, context, gist, outbox, policy, words};
    use countersign::backends::import;
    use countersign::backends::reading::{self, address, header, mime};
    use countersign::engine::limits::{self, Limits};
    use countersign::people::{password, secret, throttle};
    use countersign::tools::messages::rules;
    use countersign::{config, intent, journal};
    let by_default = Limits::default();
    let table: &[(&str, &[u64])] = &[
        ("fuel_max", &[by_default.fuel_max]),
        ("wall_max", &[by_default.wall_max.as_secs()]),
        ("MEMORY_BYTES_MAX", &[limits::MEMORY_BYTES_MAX as u64]),
        ("MEMORIES_MAX", &[limits::MEMORIES_MAX as u64]),
        ("TABLES_MAX", &[limits::TABLES_MAX as u64]),
        ("TABLE_ELEMENTS_MAX", &[limits::TABLE_ELEMENTS_MAX as u64]),
        ("INSTANCES_MAX", &[limits::INSTANCES_MAX as u64]),
        ("STACK_BYTES_MAX", &[limits::STACK_BYTES_MAX as u64]),
        ("CALL_BYTES_MAX", &[limits::CALL_BYTES_MAX as u64]),
        ("HANDLES_MAX", &[limits::HANDLES_MAX as u64]),
        ("RESOURCES_MAX", &[limits::RESOURCES_MAX as u64]),
        ("RANDOM_BYTES_MAX", &[limits::RANDOM_BYTES_MAX]),
        ("LOG_BYTES_MAX", &[limits::LOG_BYTES_MAX as u64]),
        ("CARD_BYTES_MAX", &[limits::CARD_BYTES_MAX as u64]),
        ("SEGMENTS_MAX", &[limits::SEGMENTS_MAX as u64]),
        ("CALLS_MAX", &[journal::CALLS_MAX as u64]),
        ("JOURNAL_BYTES_MAX", &[journal::JOURNAL_BYTES_MAX as u64]),
        ("ASKS_PER_RUN_MAX", &[approval::ASKS_PER_RUN_MAX as u64]),
        (
            "PENDING_PER_AGENT",
            &[u64::from(approval::PENDING_PER_AGENT), u64::from(approval::PENDING_PER_AGENT_MAX)],
        ),
        (
            "REPEATS_MAX",
            &[
                u64::from(approval::REPEATS_MAX),
                (approval::REPEATS_MS / policy::HOUR_MS / 24) as u64,
                (approval::DECLINED_MS / policy::HOUR_MS) as u64,
            ],
        ),
        (
            "WAITS_MS",
            &[
                (outbox::WAITS_MS[0] / 1000) as u64,
                (outbox::WAITS_MS[1] / 1000) as u64,
                (outbox::WAITS_MS[2] / 60_000) as u64,
                (outbox::WAITS_MS[3] / 60_000) as u64,
                (outbox::WAITS_MS[4] / 60_000) as u64,
                (outbox::WAITS_MS[5] / 60_000) as u64,
                (outbox::WAITS_MS[6] / 60_000) as u64,
                (outbox::WAITS_MS[7] / policy::HOUR_MS) as u64,
                (outbox::RETRY_MS / policy::HOUR_MS) as u64,
                (outbox::RETRY_MS_MAX / policy::HOUR_MS) as u64,
                (outbox::LAST_MS / 1000) as u64,
            ],
        ),
        ("AHEAD_MS_MAX", &[(countersign::clock::AHEAD_MS_MAX / 60_000) as u64]),
        ("GIST_RECIPIENTS_MAX", &[gist::GIST_RECIPIENTS_MAX as u64]),
        (
            "ANSWERED_MAX",
            &[
                context::ANSWERED_MAX as u64,
                context::BODY_CHARS_MAX as u64,
                context::FIELD_CHARS_MAX as u64,
                context::READ_BYTES_MAX as u64,
            ],
        ),
        ("PURGE_AGE_MS_MIN", &[(countersign::host::PURGE_AGE_MS_MIN / policy::HOUR_MS) as u64]),
        (
            "PENDING_MS",
            &[approval::PENDING_MS, policy::PENDING_MS_MAX, policy::STRICT_PENDING_MS_MAX]
                .map(|ms| (ms / policy::HOUR_MS) as u64),
        ),
        (
            "ACTION_BYTES_MAX",
            &[
                words::ACTION_BYTES_MAX as u64,
                words::TITLE_BYTES_MAX as u64,
                words::DESCRIPTION_BYTES_MAX as u64,
            ],
        ),
        ("DETAILS_BYTES_MAX", &[words::DETAILS_BYTES_MAX as u64, words::DETAILS_DEPTH_MAX as u64]),
        ("LIST_LIMIT_MAX", &[u64::from(rules::LIST_LIMIT_MAX)]),
        (
            "RECIPIENTS_MAX",
            &[rules::RECIPIENTS_MAX as u64, rules::SUBJECT_BYTES_MAX as u64, rules::BODY_BYTES_MAX as u64],
        ),
        ("HTML_BYTES_MAX", &[body::HTML_BYTES_MAX as u64, body::HTML_DEPTH_MAX as u64]),
        ("HTML_NODES_MAX", &[body::HTML_NODES_MAX as u64, body::HTML_TAG_BYTES_MAX as u64]),
        ("HTML_NESTING_MAX", &[body::HTML_NESTING_MAX as u64]),
        ("LINK_BYTES_MAX", &[approval::link::LINK_BYTES_MAX as u64]),
        ("FOUND_MAX", &[approval::linked::FOUND_MAX as u64]),
        ("FAMILIAR_MAX", &[approval::names::FAMILIAR_MAX as u64]),
        (
            "COMPONENT_BYTES_MAX",
            &[
                package::COMPONENT_BYTES_MAX as u64,
                manifest::MANIFEST_BYTES_MAX as u64,
                manifest::PATTERNS_MAX as u64,
            ],
        ),
        ("SCHEMA_PATTERNS_MAX", &[schema::SCHEMA_PATTERNS_MAX as u64, schema::PATTERN_BYTES_MAX as u64]),
        ("SCHEMA_STEPS_MAX", &[schema::SCHEMA_STEPS_MAX, schema::SCHEMA_STEPS_BRIEF]),
        ("PARAMETERS_BYTES_MAX", &[intent::PARAMETERS_BYTES_MAX as u64, intent::TEXT_BYTES_MAX as u64]),
        ("INTEGER_MAX", &[intent::numbers::INTEGER_MAX]),
        ("IDEMPOTENCY_KEY_BYTES_MAX", &[countersign::host::IDEMPOTENCY_KEY_BYTES_MAX as u64, 24]),
        ("NOTE_BYTES_MAX", &[countersign::desk::NOTE_BYTES_MAX as u64]),
        ("PASSWORD_BYTES_MIN", &[password::PASSWORD_BYTES_MIN as u64, password::PASSWORD_BYTES_MAX as u64]),
        ("HASHES_MAX", &[countersign::host::HASHES_MAX as u64, countersign::host::HASHES_WAITING_MAX as u64]),
        (
            "INVITATION_MS_MAX",
            &[
                (secret::INVITATION_MS_MAX / policy::HOUR_MS) as u64,
                (secret::SESSION_MS_MAX / policy::HOUR_MS) as u64,
                (secret::IDLE_MS_MAX / policy::HOUR_MS) as u64,
                u64::from(secret::SESSIONS_MAX),
            ],
        ),
        (
            "TOKEN_DAYS_MAX",
            &[
                u64::from(secret::TOKEN_DAYS_MAX),
                u64::from(secret::TOKENS_MAX),
                secret::LABEL_CHARS_MAX as u64,
            ],
        ),
        ("PEOPLE_MAX", &[u64::from(countersign::store::PEOPLE_MAX)]),
        (
            "FREE_TRIES_MAX",
            &[
                u64::from(throttle::FREE_TRIES_MAX),
                throttle::WAIT_SECONDS_MAX,
                throttle::THROTTLED_MAX as u64,
            ],
        ),
        ("STRANGERS_PER_HOUR_MAX", &[u64::from(throttle::STRANGERS_PER_HOUR_MAX)]),
        ("FAILURES_PER_MINUTE_MAX", &[u64::from(countersign::host::FAILURES_PER_MINUTE_MAX)]),
        ("BUDGETS_MAX", &[throttle::BUDGETS_MAX as u64]),
        ("LIST_MAX", &[u64::from(countersign::host::LIST_MAX)]),
        ("GATE_WAITING_MAX", &[countersign::schedule::GATE_WAITING_MAX as u64]),
        (
            "CONFIG_BYTES_MAX",
            &[
                config::CONFIG_BYTES_MAX,
                config::RECIPIENT_PATTERNS_MAX as u64,
                config::RECIPIENT_PATTERN_BYTES_MAX as u64,
                config::FOUR_EYES_FOR_MAX as u64,
            ],
        ),
        ("SEND_SECONDS_MAX", &[u64::from(config::SEND_SECONDS_MAX), u64::from(config::NOTIFY_SECONDS_MAX)]),
        (
            "RUNS_MAX",
            &[config::RUNS_MAX, config::REQUESTS_PER_MINUTE_MAX, config::GRACE_SECONDS_MAX].map(u64::from),
        ),
        ("MODULES_MAX", &[countersign_js::MODULES_MAX as u64, countersign_js::SOURCE_BYTES_MAX as u64]),
        (
            "MESSAGE_BYTES_MAX",
            &[import::MESSAGE_BYTES_MAX, reading::BODY_BYTES_MAX as u64, reading::FIELD_BYTES_MAX as u64],
        ),
        (
            "FIELDS_MAX",
            &[header::FIELDS_MAX, header::FIELD_VALUE_BYTES_MAX, reading::words::ENCODED_WORD_BYTES_MAX]
                .map(|it| it as u64),
        ),
        (
            "ENTRIES_MAX",
            &[address::ENTRIES_MAX, address::NAME_BYTES_MAX, import::NAMES_MAX].map(|it| it as u64),
        ),
        (
            "PARTS_DEPTH_MAX",
            &[mime::PARTS_DEPTH_MAX, mime::PARTS_MAX, mime::PARAMETERS_MAX, mime::PART_BYTES_MAX]
                .map(|it| it as u64),
        ),
        ("ATTACHMENTS_MAX", &[mime::ATTACHMENTS_MAX, mime::ATTACHMENT_NAME_BYTES_MAX].map(|it| it as u64)),
        ("ELEMENTS_DEPTH_MAX", &[reading::html::ELEMENTS_DEPTH_MAX as u64]),
        (
            "RULES_MAX",
            &[reading::html::RULES_MAX, reading::html::SELECTOR_BYTES_MAX, reading::html::CLASSES_MAX]
                .map(|it| it as u64),
        ),
        (
            "STEPS_PER_BYTE_MAX",
            &[reading::html::STEPS_PER_BYTE_MAX, reading::html::STEPS_MAX].map(|it| it as u64),
        ),
        ("META_BYTES_MAX", &[reading::charset::META_BYTES_MAX as u64]),
        ("DATE_AHEAD_MS_MAX", &[import::DATE_AHEAD_MS_MAX as u64 / 3_600_000]),
    ];
    let page = std::fs::read_to_string(workspace().join("host/ARCHITECTURE.md")).unwrap();
    let rows: Vec<_> =
        page.split("## Limits").nth(1).unwrap().split("\n## ").next().unwrap().lines().collect();
    let rows: Vec<_> = rows.into_iter().filter(|row| row.starts_with("| `")).collect();
    assert_eq!(rows.len(), table.len(), "a limit is missing in the table or in this test");
    for ((name, values), row) in table.iter().zip(rows) {
        assert!(row.starts_with(&format!("| `{name}`")), "{name} is not where it is expected: {row}");
        let numbers: Vec<u64> = row
            .split('|')
            .nth(2)
            .unwrap()
            .split([' ', ';'])
            .map(|word| word.trim_end_matches(',').replace(',', ""))
            .filter_map(|word| word.parse().ok())
            .collect();
        assert_eq!(&numbers[..values.len()], *values, "{row}");
    }
    // Every constant that is named as a limit is in the table.
    for file in host().iter().filter(|file| !file.ends_with("printable.rs")) {
        for line in code(file)
            .lines()
            .filter(|line| line.trim_start().starts_with("pub const") && line.contains("_MAX:"))
        {
            let name = line.split("const ").nth(1).unwrap().split(':').next().unwrap();
            assert!(
                page.contains(&format!("`{name}`")),
                "{name} of {} is not in the table of limits",
                file.display()
            );
        }
    }
}

#[test]
fn every_invariant_names_a_test_that_is_there() {
    let page = std::fs::read_to_string(workspace().join("host/ARCHITECTURE.md")).unwrap();
    let invariants = page.split("## Invariants").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut files = Vec::new();
    for folder in ["host/src", "host/tests", "host/cli/src", "tests", "guest-sdk"] {
        sources(&workspace().join(folder), &mut files);
    }
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let rows: Vec<_> = invariants.lines().filter(|row| row.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 10);
    for row in rows {
        let named: Vec<_> = row.split('|').nth(2).unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test for: {row}");
        for name in named {
            let parts: Vec<_> = name.split("::").collect();
            let (last, module) = (parts[parts.len() - 1], parts[0]);
            let is_module = files.iter().any(|file| {
                file.file_stem().is_some_and(|stem| stem == module)
                    || file.parent().and_then(Path::file_name).is_some_and(|folder| folder == module)
            });
            let is_there = matches!(last, "tests") || last == module || text.contains(&format!("fn {last}("));
            assert!(is_module && is_there || name == "frozen", "there is no test {name}, named in: {row}");
        }
    }
}

#[test]
fn one_wasmtime_runs_and_builds_agents() {
    let lock = std::fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    let versions = lock.matches("\nname = \"wasmtime\"\n").count();
    assert_eq!(versions, 1, "two versions of wasmtime would be linked");
}

#[test]
fn every_guide_names_the_codes_an_ask_fails_with_where_the_call_behind_it_would() {
    let guides = [
        ("guest-sdk/js/index.d.ts", "`try`"),
        ("guest-sdk/js/README.md", "try {"),
        ("guest-sdk/rust/src/approval.rs", "`match`"),
        ("guest-sdk/rust/README.md", "match send"),
        ("wit/README.md", "around both"),
    ];
    for (guide, around) in guides {
        let text = std::fs::read_to_string(workspace().join(guide)).unwrap();
        // What is said of the ask, from the sentence that says so to the end of its paragraph or example.
        let at = text.find("whatever a\nperson says").or_else(|| text.find("whatever a person says"));
        let at = at.unwrap_or_else(|| panic!("{guide} does not say when an ask fails"));
        let said: String = text[at..].chars().take(1_200).collect();
        for code in ["CAPABILITY_DENIED", "INVALID_RECIPIENT", "SCOPE_VIOLATION", "INVALID_PARAMETER"] {
            assert!(said.contains(code), "{guide} does not name {code}");
        }
        assert!(said.contains(around), "{guide} does not show what stands around both");
    }
}
