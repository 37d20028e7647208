//! `countersign token`: what programs show instead of a password.

use super::door::Door;
use super::output::{Exit, TokenShown};
use super::screen::Screen;
use super::{Session, draw, person, say};
use clap::Subcommand;
use countersign::people::Role;
use countersign::printable::line;
use countersign::refusals::{Code, Problem, Result};

#[derive(Subcommand)]
pub enum Token {
    /// List tokens, without their secrets
    List,
    /// Make a token for yourself; it is shown this once
    Make {
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        label: String,
        /// For how many days it is good
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=365))]
        days: u32,
        /// One of your roles; can be given more than once. Without it, all of them but `approver`: with that one, the program signs
        /// what leaves, as you
        #[arg(long = "role", value_name = "ROLE", value_parser = person::roles())]
        roles: Vec<Role>,
    },
    /// End a token at once
    Revoke { id: String },
}

impl Token {
    pub async fn run(self, session: &Session) -> Result<Exit> {
        let door = session.door().await?;
        match self {
            Token::List => session.answer(&door.tokens().await?, |list| {
                let rows: Vec<_> = list.tokens.iter().map(row).collect();
                draw::table(
                    &["TOKEN", "OF", "LABEL", "ROLES", "EXPIRES", "USED"],
                    &rows,
                    Screen::here().columns(),
                )
            })?,
            Token::Make { label, days, roles } => {
                let Door::There(server) = &door else {
                    let problem =
                        Problem::new(Code::Usage, "a token is made by whoever it is for, at a server");
                    return Err(problem
                        .hint("sign in and open the page \"People\", or name the server with --server")
                        .into());
                };
                session.answer(&server.make_token(&label, days, roles).await?, |it| {
                    format!("{}\n", line(&it.token))
                })?;
                say(
                    "It is shown this once. Keep it where nobody else reads, for COUNTERSIGN_TOKEN or --token-file.",
                );
            }
            Token::Revoke { id } => session
                .answer(&door.revoke_token(&id).await?, |it| format!("Revoked {}\n", line(&it.removed)))?,
        }
        Ok(Exit::Done)
    }
}

fn row(token: &TokenShown) -> Vec<String> {
    let used = token.used.clone().unwrap_or_else(|| "never".into());
    vec![
        token.id.clone(),
        token.name.clone(),
        token.label.clone(),
        draw::roles(&token.roles),
        token.expires.clone(),
        used,
    ]
}
