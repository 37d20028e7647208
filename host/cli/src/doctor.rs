//! `countersign doctor`: looks at everything an operator would look at when something is wrong.

use super::Session;
use super::output::{self, Exit, HealthTold};
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::host::{Finding, Health, examine};
use countersign::printable::line;
use countersign::refusals::{Error, Result};
use std::fmt::Write as _;

pub fn run(session: &Session) -> Result<Exit> {
    let data = session.data()?;
    let file = session.config_file(&data);
    let config = match file.as_deref().map_or_else(|| Ok(Config::default()), Config::load) {
        Ok(config) => Ok(config),
        Err(Error::Refused(problem)) => Err(problem),
        Err(fault) => return Err(fault),
    };
    let findings = examine(&data, file.as_deref(), &config, &Clock::system());
    let count = |health| findings.iter().filter(|finding| finding.health == health).count();
    let (bad, warned) = (count(Health::Bad), count(Health::Warn));
    let findings = findings.into_iter().map(|finding| told(session, finding)).collect();
    session.answer(&output::Examined { findings, bad, warned }, |it| {
        let mut out = String::new();
        for finding in &it.findings {
            let _ = writeln!(
                out,
                "{:<4}  {}: {}",
                finding.health.name(),
                line(&finding.about),
                line(&finding.text)
            );
            if let Some(cure) = &finding.cure {
                let _ = writeln!(out, "      → {}", line(cure));
            }
        }
        out
    })?;
    Ok(if bad > 0 { Exit::Stopped } else { Exit::Done })
}

fn told(session: &Session, Finding { about, health, text, cure }: Finding) -> output::Found {
    output::Found {
        about: about.into(),
        health: match health {
            Health::Ok => HealthTold::Ok,
            Health::Warn => HealthTold::Warn,
            Health::Bad => HealthTold::Bad,
        },
        text,
        cure: cure.map(|cure| session.runnable(&cure)),
    }
}
