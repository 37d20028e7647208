//! `countersign agent`: install agents and grant them capabilities.

use super::output::{self, Exit};
use super::screen::Screen;
use super::{Session, draw, say};
use clap::Subcommand;
use countersign::agent::Package;
use countersign::authority::Capability;
use countersign::host::Install;
use countersign::printable::{line, printable};
use countersign::refusals::{Code, Problem, Result};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
pub enum Agent {
    /// Install a component, or a new version of it
    Install {
        /// The component, a .wasm file
        file: PathBuf,
        /// The manifest, where the component carries none
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
        /// Capabilities to grant at once
        #[arg(long, value_name = "CAP,...", value_delimiter = ',')]
        grant: Vec<Capability>,
        /// Grant what the version before had been granted
        #[arg(long)]
        keep_grants: bool,
        /// Refuse an agent that imports a tool whose capability it does not declare
        #[arg(long)]
        strict_imports: bool,
    },
    /// List installed agents
    List,
    /// Show an agent: manifest, digest, grants
    Show { id: String },
    /// Grant capabilities to an agent
    Grant {
        id: String,
        #[arg(required = true, value_name = "CAP")]
        capabilities: Vec<Capability>,
    },
    /// Take capabilities away from an agent
    Revoke {
        id: String,
        #[arg(required = true, value_name = "CAP")]
        capabilities: Vec<Capability>,
    },
    /// Remove an agent and its grants
    Remove { id: String },
    /// Embed a manifest in a component
    Pack {
        file: PathBuf,
        #[arg(long, value_name = "FILE")]
        manifest: PathBuf,
        /// Where the packed component goes
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
}

impl Agent {
    pub async fn run(self, session: &Session) -> Result<Exit> {
        match self {
            Agent::Install { file, manifest, grant, keep_grants, strict_imports } => {
                let bytes = read(&file)?;
                let manifest = manifest.as_deref().map(read_text).transpose()?;
                let how = Install { manifest, grants: grant, keep_grants, strict_imports };
                let agent = session.door().await?.install(bytes, how).await?;
                for warning in &agent.warnings {
                    say(&format!("warning: {}", line(warning)));
                }
                session.answer(&agent, |agent| {
                    let mut out = format!("Installed {} {}\n", line(&agent.id), line(&agent.version));
                    let _ = writeln!(out, "Digest    sha256:{}", line(&agent.digest));
                    let _ = writeln!(out, "Granted   {}", names(&agent.granted));
                    let missing: Vec<_> =
                        agent.capabilities.iter().filter(|c| !agent.granted.contains(c)).copied().collect();
                    if !missing.is_empty() {
                        let missing = missing.iter().map(|c| c.name()).collect::<Vec<_>>().join(" ");
                        let _ = writeln!(
                            out,
                            "\nTo grant what else it declares: {} agent grant {} {missing}",
                            session.program(),
                            line(&agent.id)
                        );
                    }
                    out
                })?;
            }
            Agent::List => {
                session.answer(&session.door().await?.agents().await?, |list| {
                    let row = |agent: &output::Agent| {
                        vec![
                            line(&agent.id),
                            agent.version.clone(),
                            agent.digest.chars().take(12).collect(),
                            names(&agent.granted),
                        ]
                    };
                    let rows: Vec<_> = list.agents.iter().map(row).collect();
                    draw::table(&["AGENT", "VERSION", "DIGEST", "GRANTED"], &rows, Screen::here().columns())
                })?;
            }
            Agent::Show { id } => {
                session.answer(&session.door().await?.agent(&id).await?, show)?;
            }
            Agent::Grant { id, capabilities } => {
                session.answer(&session.door().await?.grant(&id, &capabilities).await?, granted)?;
            }
            Agent::Revoke { id, capabilities } => {
                session.answer(&session.door().await?.revoke(&id, &capabilities).await?, granted)?;
            }
            Agent::Remove { id } => {
                session.answer(&session.door().await?.remove(&id).await?, |it| {
                    format!("Removed {}\n", line(&it.removed))
                })?;
            }
            Agent::Pack { file, manifest, output } => {
                let packed = Package::read(read(&file)?)?.pack(&read_text(&manifest)?)?;
                std::fs::write(&output, &packed).map_err(|error| {
                    Problem::new(Code::Usage, format!("cannot write {}: {error}", output.display()))
                })?;
                let packed = Package::read(packed)?;
                let packed = output::Packed {
                    file: output.display().to_string(),
                    digest: packed.digest.to_string(),
                    bytes: packed.bytes.len() as u64,
                };
                session.answer(&packed, |it| {
                    format!("{}\nDigest    sha256:{}\n", printable(&it.file), it.digest)
                })?;
            }
        }
        Ok(Exit::Done)
    }
}

fn granted(agent: &output::Agent) -> String {
    format!("Agent     {}\nGranted   {}\n", line(&agent.id), names(&agent.granted))
}

fn show(agent: &output::Agent) -> String {
    let mut out = format!("{} {}\n\n", line(&agent.name), line(&agent.version));
    let _ = writeln!(out, "Id        {}", line(&agent.id));
    let _ = writeln!(out, "Digest    sha256:{}", line(&agent.digest));
    let _ = writeln!(out, "Size      {} bytes", agent.bytes);
    let _ = writeln!(out, "Declares  {}", names(&agent.capabilities));
    let _ = writeln!(out, "Granted   {}", names(&agent.granted));
    let _ = writeln!(out, "Installed {} by {}", line(&agent.installed), line(&agent.installed_by));
    out += &super::inspect::about(&agent.manifest);
    if let Some(scopes) = agent.manifest["scopes"].as_object() {
        for (capability, patterns) in scopes {
            let _ = writeln!(out, "Confined  {} to {}", line(capability), line(&patterns.to_string()));
        }
    }
    out
}

fn names(capabilities: &[Capability]) -> String {
    match capabilities {
        [] => "nothing".into(),
        some => some.iter().map(|capability| capability.name()).collect::<Vec<_>>().join(", "),
    }
}

/// Reads a file the person named, no further than a component can be long.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let unreadable = |error: std::io::Error| {
        Problem::new(Code::Usage, format!("cannot read {}: {error}", path.display())).hint("check the path")
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(countersign::agent::package::COMPONENT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}

pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|_| {
        Problem::new(Code::ManifestInvalid, format!("{} is not UTF-8 text", path.display())).into()
    })
}
