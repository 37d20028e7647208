//! A real browser: headless Chromium, driven as a person would drive it, by what they read and press.
//!
//! Where Chromium or its driver is not installed, a test says that it is skipped, and passes.

#![allow(clippy::disallowed_methods, reason = "other processes are waited for by the wall clock")]

use crate::support::server::{Request, Server, bound_to_us};
use crate::support::workspace;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a page may take to show what it should.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often Tab is pressed before a control counts as out of reach.
const TABS_MAX: usize = 60;
/// What axe-core judges by.
const RULES: [&str; 5] = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"];
/// The member by which WebDriver hands out an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that are no characters, as WebDriver writes them.
pub const TAB: char = '\u{E004}';
pub const ENTER: char = '\u{E007}';
pub const SPACE: char = ' ';

/// Chromium with a profile of its own, in processes of its own, which end with this.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

/// Something on a page, by the id WebDriver has for it.
pub struct Element(String);

/// Whether pages may run their scripts.
#[derive(Clone, Copy, PartialEq)]
pub enum Scripts {
    On,
    Off,
}

impl Browser {
    /// `None`, saying so, where there is no browser.
    pub fn start() -> Option<Browser> {
        Browser::with(Scripts::On)
    }

    pub fn with(scripts: Scripts) -> Option<Browser> {
        let (Some(chromium), Some(driver)) = (program("chromium"), program("chromedriver")) else {
            eprintln!("SKIPPED: needs a browser: chromium and chromium-driver");
            return None;
        };
        let mut driver = bound_to_us(Command::new(driver).arg("--port=0"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = said
            .find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok())
            .expect("chromedriver says its port");
        // Read to its end, so that it is never held up.
        thread::spawn(move || said.for_each(drop));
        let profile = TempDir::new().unwrap();
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".into(),
            "--disable-dev-shm-usage".into(),
            "--disable-gpu".into(),
            "--disable-background-networking".into(),
            "--no-first-run".into(),
            // It ends when its driver does, however that ends.
            "--remote-debugging-pipe".into(),
            // Nobody but us is ever asked.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1".into(),
            // What assistive technology is told of an element can be asked for in one step.
            "--enable-blink-features=ComputedAccessibilityInfo".into(),
            "--window-size=1100,900".into(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let mut options = json!({ "args": arguments, "binary": chromium });
        if scripts == Scripts::Off {
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let mut browser = Browser { driver, port, session: String::new(), _profile: profile };
        let wanted = json!({ "goog:chromeOptions": options, "unhandledPromptBehavior": "ignore" });
        let session =
            browser.call("POST", "", &json!({ "capabilities": { "alwaysMatch": wanted } })).unwrap();
        browser.session = format!("/{}", session["sessionId"].as_str().unwrap());
        Some(browser)
    }

    /// One command of WebDriver.
    fn call(&self, method: &str, command: &str, body: &Value) -> Result<Value, String> {
        let mut request = Request::new(method, &format!("/session{}{command}", self.session));
        if method == "POST" {
            request = request.json(body);
        }
        let reply = request.send(self.port).map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_slice(&reply.body).map_err(|error| error.to_string())?;
        match reply.status {
            200 => Ok(answer["value"].take()),
            status => Err(format!("{status} {}: {}", answer["value"]["error"], answer["value"]["message"])),
        }
    }

    fn post(&self, command: &str, body: Value) -> Value {
        self.call("POST", command, &body).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    fn ask(&self, question: &str) -> String {
        let answer =
            self.call("GET", question, &Value::Null).unwrap_or_else(|error| panic!("{question}: {error}"));
        answer.as_str().unwrap_or_default().to_owned()
    }

    // ---- Tabs ------------------------------------------------------------------------------------------------------------

    /// The tab that is looked at, by its name.
    pub fn tab(&self) -> String {
        self.ask("/window")
    }

    /// Opens another tab, and looks at it.
    pub fn new_tab(&self) -> String {
        let opened = self.post("/window/new", json!({ "type": "tab" }));
        let tab = opened["handle"].as_str().unwrap().to_owned();
        self.look_at(&tab);
        tab
    }

    /// Looks at another tab.
    pub fn look_at(&self, tab: &str) {
        self.post("/window", json!({ "handle": tab }));
    }

    /// Closes the tab that is looked at.
    pub fn close_tab(&self) {
        self.call("DELETE", "/window", &Value::Null).unwrap();
    }

    // ---- Where it is -----------------------------------------------------------------------------------------------------

    pub fn goto(&self, url: &str) {
        self.post("/url", json!({ "url": url }));
    }

    /// A page of this server.
    pub fn open(&self, server: &Server, path: &str) {
        self.goto(&server.url(path));
    }

    /// The path of the page that is shown.
    pub fn path(&self) -> String {
        let url = self.ask("/url");
        let after = url.split_once("://").map_or("", |(_, rest)| rest);
        let path = after.find('/').map_or("", |at| &after[at..]);
        path.split(['?', '#']).next().unwrap_or_default().to_owned()
    }

    pub fn title(&self) -> String {
        self.ask("/title")
    }

    pub fn source(&self) -> String {
        self.ask("/source")
    }

    /// What a reader sees.
    pub fn text(&self) -> String {
        let text = self.try_run("return document.body ? document.body.innerText : ''", &[]);
        text.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.try_run(script, arguments).unwrap_or_else(|error| panic!("{error}: {script}"))
    }

    fn try_run(&self, script: &str, arguments: &[Value]) -> Result<Value, String> {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// A command of the protocol behind WebDriver, for what WebDriver has no word for.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": parameters }))
    }

    /// Waits until it is so.
    pub fn until(&self, what: &str, so: impl Fn() -> bool) {
        let began = Instant::now();
        while !so() {
            assert!(began.elapsed() < PATIENCE, "{what} did not come to be: {} {}", self.path(), self.text());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the page says so.
    pub fn reads(&self, text: &str) {
        self.until(&format!("{text:?}"), || self.text().contains(text));
    }

    /// Waits until the page is this one.
    pub fn is_at(&self, path: &str) {
        self.until(&format!("the page {path}"), || self.path() == path);
    }

    // ---- What is on the page -----------------------------------------------------------------------------------------------

    /// The elements of this role and name, as a screen reader is told, of those that are shown.
    /// What is said of a field in brackets need not be named. What opens and closes is a `summary`: there is no role for it.
    fn all(&self, role: &str, name: &str) -> Vec<Element> {
        const SCRIPT: &str = "const [role, name] = arguments; \
            const said = e => e.computedName.replace(/\\s+/g, ' ').trim(); \
            return [...document.querySelectorAll('body *')].filter(e => (e.computedRole || e.localName) === role \
                && (said(e) === name || said(e).split(' (')[0] === name) && e.checkVisibility());";
        let found = self.try_run(SCRIPT, &[role.into(), name.into()]).unwrap_or_default();
        let ids = found.as_array().into_iter().flatten().filter_map(|one| one[ELEMENT].as_str());
        ids.map(|id| Element(id.to_owned())).collect()
    }

    pub fn has(&self, role: &str, name: &str) -> bool {
        !self.all(role, name).is_empty()
    }

    /// The first of this role and name, as soon as it is there.
    pub fn find(&self, role: &str, name: &str) -> Element {
        let began = Instant::now();
        loop {
            if let Some(found) = self.all(role, name).into_iter().next() {
                return found;
            }
            let here = || format!("{}\n{}\n{:#?}", self.path(), self.text(), self.names());
            assert!(began.elapsed() < PATIENCE, "no {role} {name:?} on {}", here());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Everything that can be used, by role and name: for whoever reads why a test failed.
    fn names(&self) -> Value {
        const SCRIPT: &str = "return [...document.querySelectorAll('a, button, input, select, textarea, summary, h1, h2')] \
            .filter(e => e.checkVisibility()).map(e => e.computedRole + ' ' + e.computedName);";
        self.try_run(SCRIPT, &[]).unwrap_or_default()
    }

    /// The first that this selector finds, as soon as it is there.
    pub fn select(&self, css: &str) -> Element {
        let began = Instant::now();
        loop {
            let found = self.call("POST", "/element", &json!({ "using": "css selector", "value": css }));
            if let Ok(found) = found {
                return Element(found[ELEMENT].as_str().unwrap().to_owned());
            }
            assert!(began.elapsed() < PATIENCE, "no {css} on {}\n{}", self.path(), self.text());
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn click(&self, role: &str, name: &str) {
        let pressed = self.press(&self.find(role, name));
        pressed.unwrap_or_else(|error| panic!("{role} {name:?} on {}: {error}", self.path()));
    }

    /// As a mouse does: what is covered or out of sight cannot be pressed.
    pub fn press(&self, element: &Element) -> Result<(), String> {
        self.call("POST", &format!("/element/{}/click", element.0), &json!({})).map(drop)
    }

    /// Types into an element.
    pub fn write(&self, element: &Element, text: &str) {
        self.post(&format!("/element/{}/value", element.0), json!({ "text": text }));
    }

    /// Presses a button, which is to lead to another page, and waits for that.
    pub fn submit(&self, name: &str) {
        self.leave(|| self.click("button", name));
    }

    /// Follows a link, and waits for the page behind it.
    pub fn follow(&self, name: &str) {
        self.leave(|| self.click("link", name));
    }

    /// Does what leads to another page, and waits for that.
    pub fn leave(&self, how: impl FnOnce()) {
        const GONE: &str = "return window.leaving === undefined && document.readyState === 'complete'";
        self.run("window.leaving = true", &[]);
        how();
        self.until("another page", || self.try_run(GONE, &[]).is_ok_and(|gone| gone == true));
    }

    /// Writes into the field of this label what stands there from then on.
    pub fn fill(&self, label: &str, text: &str) {
        let field = ["textbox", "searchbox", "spinbutton"]
            .into_iter()
            .find_map(|role| self.all(role, label).into_iter().next())
            .unwrap_or_else(|| self.find("textbox", label));
        self.post(&format!("/element/{}/clear", field.0), json!({}));
        self.write(&field, text);
    }

    /// Chooses a file, as from the dialog, for the field whose label begins so.
    pub fn choose_file(&self, label: &str, file: &str) {
        const SCRIPT: &str = "return [...document.querySelectorAll('input[type=file]')] \
            .find(e => [...e.labels].some(label => label.textContent.trim().startsWith(arguments[0])))";
        let field = self.run(SCRIPT, &[label.into()]);
        self.write(&Element(field[ELEMENT].as_str().unwrap().to_owned()), file);
    }

    /// An attribute of the first element this selector finds.
    pub fn select_attribute(&self, css: &str, name: &str) -> String {
        self.ask(&format!("/element/{}/attribute/{name}", self.select(css).0))
    }

    /// Presses the button of this name in the part of the page that is about something.
    pub fn submit_in(&self, name: &str, about: &str) {
        const SCRIPT: &str = "const [name, about] = arguments; return [...document.querySelectorAll('li, tr, details')] \
            .filter(e => e.textContent.includes(about)).flatMap(e => [...e.querySelectorAll('button')]) \
            .find(e => e.computedName.trim() === name && e.checkVisibility())";
        let button = self.run(SCRIPT, &[name.into(), about.into()]);
        let button =
            button[ELEMENT].as_str().unwrap_or_else(|| panic!("no {name} for {about}: {:#?}", self.names()));
        self.leave(|| self.press(&Element(button.to_owned())).unwrap());
    }

    /// Has the page hear of nothing new from here on, as one in a tab that was put to sleep. Gives what stands on it.
    pub fn hold_still(&self) -> String {
        let all = json!({ "urlPatterns": [{ "urlPattern": "*://*/events*", "block": true }], "urls": ["*/events*"] });
        self.devtools("Network.enable", json!({}));
        self.devtools("Network.setBlockedURLs", all);
        self.run("window.fetch = () => new Promise(() => {}); window.EventSource = undefined", &[]);
        self.text()
    }

    /// What the field of this label holds.
    pub fn value(&self, label: &str) -> String {
        let field = self.find("textbox", label);
        self.ask(&format!("/element/{}/property/value", field.0))
    }

    // ---- Keys --------------------------------------------------------------------------------------------------------------

    pub fn key(&self, key: char) {
        self.chord(&[key]);
    }

    /// Keys held down together, in this order.
    pub fn chord(&self, keys: &[char]) {
        let down = keys.iter().map(|key| json!({ "type": "keyDown", "value": key }));
        let up = keys.iter().rev().map(|key| json!({ "type": "keyUp", "value": key }));
        self.strokes(down.chain(up).collect());
    }

    /// Types into whatever has the focus.
    pub fn type_in(&self, text: &str) {
        let both = |key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key }));
        self.strokes(text.chars().flat_map(both).collect());
    }

    fn strokes(&self, actions: Vec<Value>) {
        self.post(
            "/actions",
            json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }),
        );
    }

    /// Presses Tab until the control of this role and name has the focus, which must be seen on every control on the way.
    pub fn tab_to(&self, role: &str, name: &str) {
        const SCRIPT: &str = "const e = document.activeElement; if (!e || e === document.body) return null; \
            const style = getComputedStyle(e), box = e.getBoundingClientRect(); \
            const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1 || style.boxShadow !== 'none'; \
            return [e.computedRole || e.localName, e.computedName.replace(/\\s+/g, ' ').trim(), seen && box.width > 1 && box.height > 1];";
        self.find(role, name);
        let mut on_the_way = Vec::new();
        for _ in 0..TABS_MAX {
            self.key(TAB);
            let on = self.run(SCRIPT, &[]);
            if on.is_null() {
                continue;
            }
            assert_eq!(on[2], true, "the focus on {} {} of {} is not seen", on[0], on[1], self.path());
            if on[0] == role && on[1] == name {
                return;
            }
            on_the_way.push(on);
        }
        panic!("Tab does not come to {role} {name:?} on {}: {on_the_way:?}", self.path());
    }

    // ---- How it is looked at -------------------------------------------------------------------------------------------------

    /// A phone this wide, in CSS pixels.
    pub fn phone(&self, width: u32) {
        let size = json!({ "width": width, "height": 700, "deviceScaleFactor": 1, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }

    /// The window as it was.
    pub fn desk(&self) {
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({}));
    }

    pub fn dark(&self) {
        self.prefer("dark");
    }

    pub fn light(&self) {
        self.prefer("light");
    }

    fn prefer(&self, scheme: &str) {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media);
    }

    /// Whether something is wider than the page.
    pub fn is_too_wide(&self) -> Option<Value> {
        const SCRIPT: &str = "const most = document.documentElement.clientWidth; \
            if (document.documentElement.scrollWidth <= most && innerWidth <= most + 20) return null; \
            return [innerWidth, document.documentElement.scrollWidth, [...document.querySelectorAll('body *')] \
                .filter(e => e.getBoundingClientRect().right > most + 1).slice(0, 5).map(e => e.outerHTML.slice(0, 200))];";
        Some(self.run(SCRIPT, &[])).filter(|wide| !wide.is_null())
    }

    /// Keeps a picture of the whole page in `tests/screenshots`, where `BLESS=1` asks for it.
    pub fn picture(&self, name: &str) {
        if std::env::var_os("BLESS").is_none() {
            return;
        }
        let png = base64(&self.ask("/screenshot"));
        let folder = workspace().join("tests/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    /// Has axe-core judge the page. It must find nothing.
    pub fn axe(&self) {
        let found = self.violations();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    /// What axe-core finds on the page.
    pub fn violations(&self) -> Vec<String> {
        self.judged(&json!({ "type": "tag", "values": RULES }))
    }

    /// What it finds by these rules alone.
    pub fn violations_of(&self, rules: &[&str]) -> Vec<String> {
        self.judged(&json!({ "type": "rule", "values": rules }))
    }

    fn judged(&self, rules: &Value) -> Vec<String> {
        const SCRIPT: &str = "const [rules, done] = arguments; \
            axe.run(document, { runOnly: rules, resultTypes: ['violations'] }).then( \
                found => done(found.violations.map(v => v.id + ' (' + v.impact + '): ' + v.help + '\\n' \
                    + v.nodes.slice(0, 4).map(n => '    ' + n.target + ' ' + n.html.slice(0, 200) + '\\n      ' \
                    + n.failureSummary.replace(/\\n/g, '\\n      ')).join('\\n'))), \
                error => done(['axe: ' + error]));";
        let Some(axe) = axe() else { return Vec::new() };
        if self.run("return typeof axe", &[]) != "object" {
            self.run(&format!("{axe}; window.axe = axe; return 0"), &[]);
        }
        let found = self.post("/execute/async", json!({ "script": SCRIPT, "args": [rules] }));
        let path = self.path();
        let found = found.as_array().into_iter().flatten().filter_map(Value::as_str);
        found.map(|found| format!("axe-core on {path}: {found}")).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Which ends Chromium.
        let _ = self.call("DELETE", "", &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// axe-core, which `.ci/run` installs as `tests/browser/package.json` says. `None`, saying so, where it has not.
fn axe() -> Option<String> {
    let file = workspace().join("target/axe/node_modules/axe-core/axe.min.js");
    let read = std::fs::read_to_string(file).ok();
    if read.is_none() {
        eprintln!("SKIPPED: needs axe-core: .ci/run installs it");
    }
    read
}

/// The bytes of text in base64, which is how a picture comes.
fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte));
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for digit in digits {
        held = held << 6 | u32::try_from(digit).unwrap();
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xFF) as u8);
        }
    }
    bytes
}
