//! Rank 11: the command. What it is called with, and one file for each thing that it does.
//!
//! Exit codes: 0 all is well, 1 the configuration or the request is wrong, 2 wrong usage, 70 internal fault. Results go to standard output,
//! errors to standard error.

mod check;
mod client;
mod ladder;
mod numbers;
mod overflow;
mod passwd;
mod past;
mod route;
mod run;
mod schema;
mod tables;
mod why;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

pub use client::{Question, ServerArgs};
pub use route::RouteArgs;

/// The configuration or the request is wrong.
pub const WRONG: u8 = 1;
/// Something is broken in the program or the machine.
pub const FAULT: u8 = 70;

/// SIP telephony server with contact-centre queues.
#[derive(Debug, Parser)]
#[command(
    name = "strowger",
    version,
    about,
    propagate_version = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Directory that holds strowger.toml [default: the current directory, then /etc/strowger]
    #[arg(long, value_name = "DIR", global = true)]
    pub config: Option<PathBuf>,
}

impl ConfigArgs {
    /// The directory.
    pub fn directory(&self) -> PathBuf {
        if let Some(directory) = &self.config {
            return directory.clone();
        }
        let system = Path::new("/etc/strowger");
        if !Path::new("strowger.toml").is_file() && system.join("strowger.toml").is_file() {
            return system.to_path_buf();
        }
        PathBuf::from(".")
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server
    #[command(after_help = "Example: strowger run --config /etc/strowger")]
    Run(ConfigArgs),
    /// Validate every file without starting
    #[command(after_help = "Example: strowger check --config /etc/strowger")]
    Check {
        #[command(flatten)]
        config: ConfigArgs,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
        /// Every warning is an error
        #[arg(long)]
        strict: bool,
    },
    /// Show the steps that a call would take, and why; nothing is dialled
    #[command(
        after_help = "Example: strowger route --profile external --from +447700900123 --to '+44 20 7183 8750' --at 2026-12-25T10:00:00+00:00"
    )]
    Route(RouteArgs),
    /// Print the JSON Schema of a kind of file, for editors
    #[command(after_help = "Example: strowger schema sip-profile > sip-profile.schema.json")]
    Schema {
        /// strowger, sip-profile, dialplan, directory, queue or outbound
        name: String,
    },
    /// Print the password hashes of a user for directory/*.toml; the password is read from standard input
    #[command(after_help = "Example: strowger passwd 1001 < password.txt")]
    Passwd {
        #[command(flatten)]
        config: ConfigArgs,
        /// Extension of the user
        extension: String,
        /// Digest realm [default: the domain of strowger.toml]
        #[arg(long)]
        realm: Option<String>,
    },
    /// Print a completion script for a shell
    #[command(after_help = "Example: strowger completions bash > /etc/bash_completion.d/strowger")]
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: clap_complete::Shell,
    },
    /// Validate the files and apply what has changed to the running server
    #[command(after_help = "Example: strowger reload")]
    Reload(ServerArgs),
    /// Show the state of the running server
    #[command(after_help = "Example: strowger status --json")]
    Status(ServerArgs),
    /// Show the calls that are up or over, or what happened in one
    #[command(
        after_help = "Examples: strowger calls\n          strowger calls --ended --since 2h\n          strowger calls 01J9Z3… --ladder\n          strowger calls 01J9Z3… --pcap call.pcap"
    )]
    Calls {
        #[command(flatten)]
        server: ServerArgs,
        /// Id of a call, also of one that is over
        id: Option<String>,
        /// The messages and audio of the call in order (this is what an id alone shows)
        #[arg(long, requires = "id")]
        ladder: bool,
        /// With the text of every message
        #[arg(long, requires = "id")]
        messages: bool,
        /// Write the messages of the call to a capture file
        #[arg(long, value_name = "FILE", requires = "id")]
        pcap: Option<PathBuf>,
        /// Calls that are over, newest first
        #[arg(long, conflicts_with = "id")]
        ended: bool,
        /// Only calls that began so long ago or later (`30m`, `2h`), or at this time or later
        #[arg(long, value_name = "TIME", requires = "ended", value_parser = past::since)]
        since: Option<jiff::Timestamp>,
        /// Most calls that are shown
        #[arg(long, value_name = "COUNT", requires = "ended", default_value_t = 50)]
        limit: usize,
    },
    /// Show, begin or end bans of sources
    #[command(
        after_help = "Examples: strowger bans\n          strowger bans --add 192.0.2.7 --for 7d\n          strowger bans --add 198.51.100.0/24\n          strowger bans --lift 192.0.2.7"
    )]
    Bans {
        #[command(flatten)]
        server: ServerArgs,
        /// Ban this address or range
        #[arg(long, value_name = "ADDRESS", conflicts_with = "lift")]
        add: Option<crate::base::Network>,
        /// For how long
        #[arg(long = "for", value_name = "TIME", default_value = "1d", value_parser = crate::config::parse_duration)]
        length: crate::base::Duration,
        /// Also when that bans loopback or an address of this server
        #[arg(long, requires = "add")]
        force: bool,
        /// End the ban of this address or range
        #[arg(long, value_name = "ADDRESS")]
        lift: Option<crate::base::Network>,
    },
    /// Show the queues
    #[command(after_help = "Example: strowger queues")]
    Queues(ServerArgs),
    /// Show the agents
    #[command(after_help = "Example: strowger agents")]
    Agents(ServerArgs),
    /// Show the registered phones
    #[command(after_help = "Example: strowger registrations")]
    Registrations(ServerArgs),
    /// Show the registered phones, drop one that is stale, or say which ring
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples: strowger devices\n          strowger devices drop 1001\n          strowger devices ring 1001 off --contact sip:1001@192.0.2.7:5060\n          strowger devices dnd 1001 on\n          strowger devices drop 1001 --contact sip:1001@192.0.2.7:5060"
    )]
    Devices {
        #[command(flatten)]
        server: ServerArgs,
        #[command(subcommand)]
        order: Option<DeviceOrder>,
    },
    /// Show the trunks, or register one now
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples: strowger trunks\n          strowger trunks register acme"
    )]
    Trunks {
        #[command(flatten)]
        server: ServerArgs,
        #[command(subcommand)]
        order: Option<TrunkOrder>,
    },
    /// Show the do-not-call, black and white lists, or change them
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples: strowger numbers\n          strowger numbers add company +442071838750 --note 'asked us to stop'\n          strowger numbers import national register.csv\n          strowger numbers check +442071838750 --from 1001"
    )]
    Numbers {
        #[command(flatten)]
        server: ServerArgs,
        #[command(subcommand)]
        order: Option<numbers::NumbersOrder>,
    },
    /// Show why a call waits, or why an agent gets none
    #[command(after_help = "Example: strowger why 1003")]
    Why {
        #[command(flatten)]
        server: ServerArgs,
        /// Id of a work item or of its call, or extension of an agent
        subject: String,
    },
}

/// On, or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnOff {
    On,
    Off,
}

#[derive(Debug, Subcommand)]
enum DeviceOrder {
    /// Let the registered devices of an extension ring, or not
    Ring {
        #[command(flatten)]
        server: ServerArgs,
        /// Extension
        extension: String,
        /// on or off
        state: OnOff,
        /// Only the device with this contact
        #[arg(long, value_name = "URI")]
        contact: Option<String>,
    },
    /// Switch do-not-disturb of an extension on or off
    Dnd {
        #[command(flatten)]
        server: ServerArgs,
        /// Extension
        extension: String,
        /// on or off
        state: OnOff,
    },
    /// Forget a device: it is rung no more until it registers again
    Drop {
        #[command(flatten)]
        server: ServerArgs,
        /// Extension, or `user@domain`
        aor: String,
        /// Only the device with this contact
        #[arg(long, value_name = "URI")]
        contact: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum TrunkOrder {
    /// Register now, whatever the trunk waits for
    Register {
        #[command(flatten)]
        server: ServerArgs,
        /// Name of the trunk
        name: String,
    },
}

/// Does what the arguments of the process say.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Run(config) => run::run(&config.directory()),
        Command::Check {
            config,
            json,
            strict,
        } => check::check(&config.directory(), json, strict),
        Command::Route(arguments) => route::route(&arguments),
        Command::Schema { name } => schema::schema(&name),
        Command::Passwd {
            config,
            extension,
            realm,
        } => passwd::passwd(&config.directory(), &extension, realm),
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Arguments::command(),
                "strowger",
                &mut std::io::stdout(),
            );
            ExitCode::SUCCESS
        }
        Command::Reload(server) => client::ask(&server, &Question::Reload),
        Command::Status(server) => client::ask(&server, &Question::Status),
        Command::Calls {
            server,
            id: None,
            ladder: _,
            messages: _,
            pcap: _,
            ended,
            since,
            limit,
        } => match ended {
            true => client::ask(&server, &Question::Ended { since, limit }),
            false => client::ask(&server, &Question::Calls),
        },
        Command::Calls {
            server,
            id: Some(id),
            ladder: _,
            messages,
            pcap,
            ended: _,
            since: _,
            limit: _,
        } => match pcap {
            Some(file) => ladder::write_pcap(&server, &id, &file),
            None => client::ask(&server, &Question::Ladder { id, messages }),
        },
        Command::Bans {
            server,
            add,
            length,
            force,
            lift,
        } => {
            let question = match (add, lift) {
                (Some(source), _) => Question::Ban {
                    source,
                    length,
                    force,
                },
                (None, Some(source)) => Question::LiftBan(source),
                (None, None) => Question::Bans,
            };
            client::ask(&server, &question)
        }
        Command::Queues(server) => client::ask(&server, &Question::Queues),
        Command::Agents(server) => client::ask(&server, &Question::Agents),
        Command::Registrations(server) => client::ask(&server, &Question::Registrations),
        Command::Devices {
            server,
            order: None,
        } => client::ask(&server, &Question::Devices),
        Command::Devices {
            order:
                Some(DeviceOrder::Drop {
                    server,
                    aor,
                    contact,
                }),
            ..
        } => client::ask(&server, &Question::DropDevices { aor, contact }),
        Command::Devices {
            order:
                Some(DeviceOrder::Ring {
                    server,
                    extension,
                    state,
                    contact,
                }),
            ..
        } => {
            let on = state == OnOff::On;
            let question = Question::Ring {
                extension,
                contact,
                on,
            };
            client::ask(&server, &question)
        }
        Command::Devices {
            order:
                Some(DeviceOrder::Dnd {
                    server,
                    extension,
                    state,
                }),
            ..
        } => {
            let on = state == OnOff::On;
            client::ask(&server, &Question::DoNotDisturb { extension, on })
        }
        Command::Trunks {
            server,
            order: None,
        } => client::ask(&server, &Question::Trunks),
        Command::Trunks {
            order: Some(TrunkOrder::Register { server, name }),
            ..
        } => client::ask(&server, &Question::RegisterTrunk(name)),
        Command::Numbers { server, order } => numbers::numbers(&server, order),
        Command::Why { server, subject } => client::ask(&server, &Question::Why(subject)),
    }
}

/// Prints to standard output; a closed pipe is no fault of ours.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints to standard error.
fn complain(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}
