//! One bad value for each setting: the problem is found, at its line, and says what to try. The wording is part of the contract.

use super::house;

/// File, text to replace (empty: the value is appended), replacement, problems.
pub type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

#[test]
fn every_bad_value_is_refused_with_its_place_and_a_way_out() {
    check(CASES);
}

/// Every case is found as it is told.
pub fn check(cases: &[Case]) {
    let mut wrong = Vec::new();
    for (path, old, new, expected) in cases {
        let mut house = house();
        house.change(path, old, new);
        let found: Vec<String> = house.problems().iter().map(ToString::to_string).collect();
        if found != *expected {
            wrong.push(format!(
                "{path}: {new}\n  expected {expected:#?}\n  found {found:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    (r#"sip-profiles/internal.toml"#, r#""#, r#"
[registration]
expires-min = "1s"
"#, &[
        r#"sip-profiles/internal.toml:7:15: error: `expires-min` must be from 10s to 1h"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"
[registration]
expires-min = "5m"
expires-max = "2m"
"#, &[
        r#"sip-profiles/internal.toml:8:15: error: `expires-max` is 2m, less than `expires-min`, which is 5m"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"
[registration]
expires-default = "2h"
"#, &[
        r#"sip-profiles/internal.toml:7:19: error: `expires-default` is 2h, not between `expires-min` and `expires-max`: 1m and 1h"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"
[registration]
expires-jitter = 80
"#, &[
        r#"sip-profiles/internal.toml:7:18: error: `expires-jitter` must be from 0 to 50"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"
[registration]
contacts-max = 0
"#, &[
        r#"sip-profiles/internal.toml:7:16: error: `contacts-max` must be from 1 to 100"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"
[registration]
contacts-over = "drop"
"#, &[
        r#"sip-profiles/internal.toml:7:17: error: `contacts-over` cannot be `drop` (expected `refuse` or `replace-oldest`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"
[registration]
path = "on"
"#, &[
        r#"sip-profiles/internal.toml:7:8: error: `on` is neither `off` nor `accept` nor an address or a range (for example `10.0.0.0/24`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"
[registration]
service-route = "proxy"
"#, &[
        r#"sip-profiles/internal.toml:7:17: error: `proxy` is not a SIP URI (for example `sip:gw1.acme.example`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"
[registration]
qualify = "1s"
"#, &[
        r#"sip-profiles/internal.toml:7:11: error: `qualify` must be from 10s to 1h"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"
[registration]
nat = "perhaps"
"#, &[
        r#"sip-profiles/internal.toml:7:7: error: `perhaps` is none of `auto`, `always`, `never`, nor an address or a range (for example `auto`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"
[registration]
nat-ping = "45s"
"#, &[
        r#"sip-profiles/internal.toml:7:12: error: `nat-ping` must be from 5s to 29s"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"
[registration]
flow-timer = "1h"
"#, &[
        r#"sip-profiles/internal.toml:7:14: error: `flow-timer` must be from 30s to 10m"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"
[registration]
gruu = "yes"
"#, &[
        r#"sip-profiles/internal.toml:7:8: error: `gruu` must be `true` or `false` (this is a string)"#,
    ]),
    (r#"strowger.toml"#, r#"domain = "pbx.test""#, r#"domain = "not a domain""#, &[
        r#"strowger.toml:2:10: error: `not a domain` is not a domain name (for example `pbx.example.com`)"#,
    ]),
    (r#"strowger.toml"#, r#"domain = "pbx.test"
"#, r#"
"#, &[
        r#"strowger.toml:1:1: error: [server] needs `domain` (SIP domain and digest realm.)"#,
    ]),
    (r#"strowger.toml"#, r#"[http]"#, r#"public-address = "0.0.0.0"
[http]"#, &[
        r#"strowger.toml:4:18: error: `0.0.0.0` cannot be advertised: nobody can send there (for example `auto`)"#,
    ]),
    (r#"strowger.toml"#, r#"
[http]"#, r#"data-dir = ""
[http]"#, &[
        r#"strowger.toml:3:12: error: `data-dir` is empty"#,
    ]),
    (r#"strowger.toml"#, r#"
[http]"#, r#"public-address = "here"
[http]"#, &[
        r#"strowger.toml:3:18: error: `here` is not an IP address (for example `auto`)"#,
    ]),
    (r#"strowger.toml"#, r#"
[http]"#, r#"rtp-ports = "29999-20000"
[http]"#, &[
        r#"strowger.toml:3:13: error: `29999-20000` ends before it begins (for example `20000-29999`)"#,
    ]),
    (r#"strowger.toml"#, r#"
[http]"#, r#"rtp-ports = "20000-20002"
[http]"#, &[
        r#"strowger.toml:3:13: error: `20000-20002` holds 3 ports, and one call between two parties takes 4 (for example `20000-29999`)"#,
    ]),
    (r#"strowger.toml"#, r#"
[http]"#, r#"rtp-ports = "80-90"
[http]"#, &[
        r#"strowger.toml:3:13: error: ports below 1024 need rights that the server does not have (for example `20000-29999`)"#,
    ]),
    (r#"strowger.toml"#, r#"
[http]"#, r#"time-zone = "Europe/Londn"
[http]"#, &[
        r#"strowger.toml:3:13: error: there is no time zone `Europe/Londn` (for example `Europe/London`)"#,
    ]),
    (r#"strowger.toml"#, r#"
[http]"#, r#"drain-timeout = "2"
[http]"#, &[
        r#"strowger.toml:3:17: error: `2` has no unit (units are `ms`, `s`, `m`, `h` and `d`: `"20s"`, `"1h30m"`)"#,
    ]),
    (r#"strowger.toml"#, r#"
[http]"#, r#"drain-timeout = 7200
[http]"#, &[
        r#"strowger.toml:3:17: error: `drain-timeout` must be a duration with its unit, in quotes (write the unit: `drain-timeout = "7200s"`)"#,
    ]),
    (r#"strowger.toml"#, r#"
[http]"#, r#"drain-timeout = "9d"
[http]"#, &[
        r#"strowger.toml:3:17: error: `drain-timeout` must be from 0s to 7d"#,
    ]),
    (r#"strowger.toml"#, r#"[http]"#, r#"[http]
listen = "localhost:80""#, &[
        r#"strowger.toml:5:10: error: `localhost:80` is not an address and a port (for example `127.0.0.1:8080`)"#,
    ]),
    (r#"strowger.toml"#, r#"[http]"#, r#"[http]
tls = {}"#, &[
        r#"strowger.toml:5:1: error: `tls` is not available in this version"#,
    ]),
    (r#"strowger.toml"#, r#"[store]"#, r#"[store]
url = "postgres://x""#, &[
        r#"strowger.toml:7:7: error: PostgreSQL is not available in this version (for example `sqlite:var/strowger.db`)"#,
    ]),
    (r#"strowger.toml"#, r#"[store]"#, r#"[store]
url = "mysql:x""#, &[
        r#"strowger.toml:7:7: error: `mysql:x` is not the URL of a data base (for example `sqlite:var/strowger.db`)"#,
    ]),
    (r#"strowger.toml"#, r#"[store]"#, r#"[store]
journal = "synced""#, &[
        r#"strowger.toml:7:11: error: `journal` cannot be `synced` (did you mean `sync`?)"#,
    ]),
    (r#"strowger.toml"#, r#"[media]"#, r#"[media]
workers = 0"#, &[
        r#"strowger.toml:9:11: error: `workers` must be from 1 to 64"#,
    ]),
    (r#"strowger.toml"#, r#"[media]"#, r#"[media]
workers = "many""#, &[
        r#"strowger.toml:9:11: error: `workers` cannot be `many` (expected `auto`)"#,
    ]),
    (r#"strowger.toml"#, r#"[media]"#, r#"[media]
workers = true"#, &[
        r#"strowger.toml:9:11: error: `workers` must be `auto` or a whole number from 1 to 64 (this is true or false)"#,
    ]),
    (r#"strowger.toml"#, r#"[log]"#, r#"[log]
level = "warning""#, &[
        r#"strowger.toml:11:9: error: `level` cannot be `warning` (expected `error`, `warn`, `info`, `debug` or `trace`)"#,
    ]),
    (r#"strowger.toml"#, r#"[log]"#, r#"[log]
format = "xml""#, &[
        r#"strowger.toml:11:10: error: `format` cannot be `xml` (expected `text` or `json`)"#,
    ]),
    (r#"strowger.toml"#, r#"[log]"#, r#"[log]
fromat = "text""#, &[
        r#"strowger.toml:11:1: error: unknown key `fromat` in [log] (did you mean `format`?)"#,
    ]),
    (r#"strowger.toml"#, r#"[log]"#, r#"[log]
[cluster]
node = "a""#, &[
        r#"strowger.toml:11:2: error: `cluster` is not available in this version"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"name = "internal""#, r#"name = "in ternal""#, &[
        r#"sip-profiles/internal.toml:1:8: error: `in ternal` is not a name (for example `support`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"name = "internal"
"#, r#""#, &[
        r#"sip-profiles/internal.toml:1:1: error: a SIP profile needs `name` (Name of the profile.)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"listen = "udp:127.0.0.1:5060""#, r#"listen = "udp:localhost:5060""#, &[
        r#"sip-profiles/internal.toml:2:10: error: `localhost:5060` is not an address and a port; `0.0.0.0:5060` listens on every address (for example `udp:0.0.0.0:5060`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"listen = "udp:127.0.0.1:5060""#, r#"listen = "5060""#, &[
        r#"sip-profiles/internal.toml:2:10: error: `5060` names no transport (for example `udp:0.0.0.0:5060`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"listen = "udp:127.0.0.1:5060""#, r#"listen = "sctp:127.0.0.1:5060""#, &[
        r#"sip-profiles/internal.toml:2:10: error: `sctp` is not a transport: `udp`, `tcp`, `tls`, `ws` or `wss` (for example `udp:0.0.0.0:5060`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"listen = "udp:127.0.0.1:5060""#, r#"listen = "tls:127.0.0.1:5061""#, &[
        r#"sip-profiles/internal.toml:2:10: error: `tls:127.0.0.1:5061` needs a certificate (give `tls = { certificate = "FILE", key = "FILE" }`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"listen = "udp:127.0.0.1:5060"
"#, r#""#, &[
        r#"sip-profiles/internal.toml:1:1: error: a SIP profile needs `listen` (Addresses on which it listens.)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"web-path = "/api/v1""#, &[
        r#"sip-profiles/internal.toml:5:12: error: `/api/v1` is a path of the server's own (for example `/sip`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"web-path = "sip""#, &[
        r#"sip-profiles/internal.toml:5:12: error: `sip` is not a path (for example `/sip`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"proxy-protocol = "10.0.0.1/8""#, &[
        r#"sip-profiles/internal.toml:5:18: error: `10.0.0.1/8` has bits set after the first 8: write `10.0.0.0/8` (for example `203.0.113.0/28`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"tls = { certificate = "certs/none.pem", key = "certs/none.key" }"#, &[
        r#"sip-profiles/internal.toml:5:7: warning: nobody is shown this certificate: the profile listens on no `tls:` or `wss:`"#,
        r#"sip-profiles/internal.toml:5:23: error: cannot use `certs/none.pem`: No such file or directory (os error 2) (paths are relative to the configuration directory)"#,
        r#"sip-profiles/internal.toml:5:47: error: cannot use `certs/none.key`: No such file or directory (os error 2) (paths are relative to the configuration directory)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"tls = { certificate = "strowger.toml" }"#, &[
        r#"sip-profiles/internal.toml:5:7: error: `tls` needs `key` (File with the private key, in PEM.)"#,
        r#"sip-profiles/internal.toml:5:7: warning: nobody is shown this certificate: the profile listens on no `tls:` or `wss:`"#,
        r#"sip-profiles/internal.toml:5:23: error: cannot use `strowger.toml`: it holds no certificate in PEM"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#"sip:127.0.0.2"#, r#"sips:127.0.0.2"#, &[
        r#"sip-profiles/external.toml:8:9: error: `sips:127.0.0.2` is reached over TLS, which the profile does not speak (add a `tls:` address to the profile's `listen`)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#"sip:127.0.0.2"#, r#"sip:127.0.0.2;transport=ws"#, &[
        r#"sip-profiles/external.toml:8:9: error: `sip:127.0.0.2;transport=ws` leads nowhere: the transport is `udp`, `tcp` or `tls` (for example `sip:gw1.acme.example`)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"tls = { verify = false, min-version = "1.1" }"#, &[
        r#"sip-profiles/external.toml:9:18: warning: whoever stands in its way can pretend to be this trunk"#,
        r#"sip-profiles/external.toml:9:39: error: `min-version` cannot be `1.1` (did you mean `1.2`?)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"tls = { certificate = "strowger.toml" }"#, &[
        r#"sip-profiles/external.toml:9:23: error: `certificate` needs `key`"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"listen = "udp:127.0.0.1:5060""#, r#"listen = []"#, &[
        r#"sip-profiles/internal.toml:2:10: error: `listen` is empty"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"listen = "udp:127.0.0.1:5060""#, r#"listen = ["udp:127.0.0.1:5060", "udp:127.0.0.1:5060"]"#, &[
        r#"sip-profiles/internal.toml:2:33: error: listening address `udp:127.0.0.1:5060` is defined twice (it is already at sip-profiles/internal.toml:2)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"listen = "udp:127.0.0.1:5060""#, r#"listen = "udp:127.0.0.1:5080""#, &[
        r#"sip-profiles/internal.toml:2:10: error: listening address `udp:127.0.0.1:5080` is defined twice (it is already at sip-profiles/external.toml:2)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"dialplan = "internal""#, r#"dialplan = "intrenal""#, &[
        r#"sip-profiles/internal.toml:3:12: error: there is no context `intrenal` (did you mean `internal`?)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"auth = "digest""#, r#"auth = "digets""#, &[
        r#"sip-profiles/internal.toml:4:8: error: `auth` cannot be `digets` (did you mean `digest`?)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"auth = "digest"
"#, r#""#, &[
        r#"sip-profiles/internal.toml:1:1: error: a SIP profile needs `auth` (How callers are known: by digest, by the address of a trunk, or not at all (loopback only).)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"listen = "udp:127.0.0.1:5060"
dialplan = "internal"
auth = "digest""#, r#"listen = "udp:0.0.0.0:5060"
dialplan = "internal"
auth = "none""#, &[
        r#"sip-profiles/internal.toml:2:10: error: `auth = "none"` on udp:0.0.0.0:5060: anybody who reaches it can call at your cost (use `auth = "digest"` or `"trunk"`, listen on 127.0.0.1, or write `insecure = true` if this is a closed lab)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"insecure = "true""#, &[
        r#"sip-profiles/internal.toml:5:12: error: `insecure` must be `true` or `false` (leave out the quotes: `insecure = true`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"codecs = ["opus", "amr"]"#, &[
        r#"sip-profiles/internal.toml:5:19: error: `codecs` cannot be `amr` (expected `opus`, `g722`, `pcma`, `pcmu` or `g729`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"codecs = []"#, &[
        r#"sip-profiles/internal.toml:5:10: error: a profile needs a codec"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"srtp = "dtls""#, &[
        r#"sip-profiles/internal.toml:5:8: error: `srtp = "dtls"` is not available in this version (keys in the description: `srtp = "optional"` or `"required"`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"srtp = "optional""#, &[
        r#"sip-profiles/internal.toml:5:8: warning: the keys of SRTP travel readable: this profile listens on no `tls:` address (add a `tls:` address and let the phones use it)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"public-address = "example.com""#, &[
        r#"sip-profiles/internal.toml:5:18: error: `example.com` is not an IP address (for example `auto`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"digest = "sha256""#, &[
        r#"sip-profiles/internal.toml:5:10: error: `digest` cannot be `sha256` (did you mean `sha-256`?)"#,
    ]),
    (r#"directory/people.toml"#, r#"password = "secret-1001""#, r#"ha1-sha256 = "939e7578ed9e3c518a452acee763bce9939e7578ed9e3c518a452acee763bce9""#, &[
        r#"directory/people.toml:2:13: warning: 1001 cannot register on profile `internal`: it asks for MD5, and there is no `ha1-md5` (`strowger passwd 1001` prints both hashes)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"lissten = "x""#, &[
        r#"sip-profiles/internal.toml:5:1: error: unknown key `lissten` in a SIP profile (did you mean `listen`?)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#"name = "acme""#, r#"name = """#, &[
        r#"sip-profiles/external.toml:7:8: error: `` is not a name (for example `support`)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#"proxy = "sip:127.0.0.2""#, r#"proxy = "127.0.0.2""#, &[
        r#"sip-profiles/external.toml:8:9: error: `127.0.0.2` is not a SIP URI (for example `sip:gw1.acme.example`)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#"proxy = "sip:127.0.0.2"
"#, r#""#, &[
        r#"sip-profiles/external.toml:7:8: error: trunk `acme` leads nowhere and nothing comes from it (give `proxy` to send calls, `from` to take them)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#"proxy = "sip:127.0.0.2""#, r#"proxy = "sip:gw.acme.example""#, &[
        r#"sip-profiles/external.toml:7:8: warning: no call from trunk `acme` is taken: its source addresses are not known (give `from`)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"from = ["203.0.113.9/28"]"#, &[
        r#"sip-profiles/external.toml:9:9: error: `203.0.113.9/28` has bits set after the first 28: write `203.0.113.0/28` (for example `203.0.113.0/28`)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"from = ["gw.acme.example"]"#, &[
        r#"sip-profiles/external.toml:9:9: error: `gw.acme.example` is not an address or a range like `203.0.113.0/28` (for example `203.0.113.0/28`)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"register = { username = "a" }"#, &[
        r#"sip-profiles/external.toml:9:12: error: `register` needs `password` (Password there.)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"register = { username = "a", password = { env = "STROWGER_TEST_UNSET" } }"#, &[
        r#"sip-profiles/external.toml:9:49: error: the environment variable `STROWGER_TEST_UNSET` is not set (the server takes it from the environment in which it was started)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"register = { username = "a", password = { file = "secrets/none" } }"#, &[
        r#"sip-profiles/external.toml:9:50: error: cannot read `secrets/none`: No such file or directory (os error 2) (paths are relative to the configuration directory)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"register = { username = "a", password = 5 }"#, &[
        r#"sip-profiles/external.toml:9:41: error: `password` must be a secret (write it, or `password = { env = "NAME" }`, or `password = { file = "path" }`)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"register = { username = "a", password = "x", expires = "10s" }"#, &[
        r#"sip-profiles/external.toml:9:56: error: `expires` must be from 1m to 1d"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"register = { username = "a", password = "x" }"#, &[]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"register = { username = "a", password = "x", registrar = "carrier" }"#, &[
        r#"sip-profiles/external.toml:9:58: error: `carrier` is not a SIP URI (for example `sip:gw1.acme.example`)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"register = { username = "a", password = "x", contact-user = "a b" }"#, &[
        r#"sip-profiles/external.toml:9:61: error: `a b` is not a SIP user part (for example `1001`)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"register = { username = "a", password = "x", contact-user = "b", bulk = true }"#, &[
        r#"sip-profiles/external.toml:9:61: warning: `contact-user` says nothing in bulk: the called number stands there"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"realm = "carrier.example""#, &[
        r#"sip-profiles/external.toml:9:9: warning: `realm` without `register` or `auth`: there is no password to prove"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"stir = { verify = "mark" }"#, &[
        r#"sip-profiles/external.toml:9:19: error: `verify` needs `ca`: without an authority nobody is proved"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"stir = { verify = "mark", ca = "none.pem" }"#, &[
        r#"sip-profiles/external.toml:9:19: warning: no caller is proved: `certificates` names none"#,
        r#"sip-profiles/external.toml:9:32: error: cannot read `none.pem`: No such file or directory (os error 2) (paths are relative to the configuration directory)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"stir = { key = "strowger.toml", x5u = "https://certs.example/sti.pem" }"#, &[
        r#"sip-profiles/external.toml:9:16: error: `strowger.toml`: not a private key on P-256 in PEM (paths are relative to the configuration directory)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"stir = { key = "k.pem" }"#, &[
        r#"sip-profiles/external.toml:9:16: error: `key` needs `x5u`: where is its certificate published?"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"stir = { x5u = "http://certs.example/sti.pem" }"#, &[
        r#"sip-profiles/external.toml:9:16: error: `http://certs.example/sti.pem` is not an https URL (for example `https://certs.acme.example/sti.pem`)"#,
        r#"sip-profiles/external.toml:9:16: warning: `x5u` without `key`: nothing is signed"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"wait = "1m""#, &[
        r#"sip-profiles/external.toml:9:8: error: `wait` must be from 0s to 30s"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"answer-timeout = "40s""#, &[
        r#"sip-profiles/external.toml:9:18: error: `answer-timeout` must be from 1s to 32s"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"breaker = { failures = 0 }"#, &[
        r#"sip-profiles/external.toml:9:24: error: `failures` must be from 1 to 100"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"caller-number = "020 7183""#, &[
        r#"sip-profiles/external.toml:9:17: error: `020 7183` is not an international number (for example `+442071838750`)"#,
    ]),
    (r#"strowger.toml"#, r#"[http]"#, r#"name-servers = ["ns.example"]
[http]"#, &[
        r#"strowger.toml:4:17: error: `ns.example` is not an address and a port (for example `127.0.0.1:8080`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ dial = "sip:ann@example.com" }"#, &[
        r#"dialplans/internal.toml:5:17: warning: SIP URIs are not called in this version: this target is refused"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"[[user.device]]
name = "mobile"
number = "+447700900123"
ring = false"#, &[
        r#"directory/people.toml:7:10: warning: calls are not forwarded to numbers in this version: this device does not ring"#,
        r#"directory/people.toml:8:8: warning: devices cannot be told apart in this version: all that are registered ring"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"max-channels = 0"#, &[
        r#"sip-profiles/external.toml:9:16: error: `max-channels` must be from 1 to 100000"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"max-cps = "5""#, &[
        r#"sip-profiles/external.toml:9:11: error: `max-cps` must be a whole number from 1 to 100000 (this is a string)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"number-format = "national:XX""#, &[
        r#"sip-profiles/external.toml:9:17: error: `national:XX` is not a number format (for example `+E164`)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"caller-id = "p-asserted""#, &[
        r#"sip-profiles/external.toml:9:13: error: `caller-id` cannot be `p-asserted` (expected `pai`, `rpid`, `from` or `diversion-aware`)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"options-ping = "1s""#, &[
        r#"sip-profiles/external.toml:9:16: error: `options-ping` must be from 5s to 1h"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"options-ping = 30"#, &[
        r#"sip-profiles/external.toml:9:16: error: `options-ping` must be a duration with its unit, in quotes (write the unit: `options-ping = "30s"`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"trusted = "yes""#, &[
        r#"sip-profiles/internal.toml:5:11: error: `trusted` must be `true` or `false` (this is a string)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"redirect = "deflect""#, &[
        r#"sip-profiles/internal.toml:5:12: error: `redirect` cannot be `deflect` (expected `follow`, `refuse` or `pass`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ park = "1", timeout = "2h" }"#, &[
        r#"dialplans/internal.toml:5:32: error: `timeout` must be from 1s to 1h"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"transfer = "blind""#, &[
        r#"sip-profiles/external.toml:9:12: error: `transfer` must be `true` or `false` (this is a string)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"transfer-recall = "1s""#, &[
        r#"sip-profiles/internal.toml:5:19: error: `transfer-recall` must be from 5s to 3m"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"prack = "always""#, &[
        r#"sip-profiles/external.toml:9:9: error: `prack` cannot be `always` (expected `off`, `supported` or `required`)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"early-media = true"#, &[
        r#"sip-profiles/external.toml:9:15: error: `early-media` must be `pass`, `ring` or `ignore` (this is true or false)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"session-timer = "30m""#, &[
        r#"sip-profiles/external.toml:9:17: error: `session-timer` must be a table, not a string (write `session-timer = { expires = … }`; its keys are `expires`, `min` and `refresher`)"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"session-timer = { expires = "60s" }"#, &[
        r#"sip-profiles/external.toml:9:29: error: `expires` must be from 1m30s to 1d"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"session-timer = { expires = "2m", min = "3m" }"#, &[
        r#"sip-profiles/external.toml:9:29: error: `expires` is shorter than `min`: our own calls would be refused by our own rule"#,
    ]),
    (r#"sip-profiles/external.toml"#, r#""#, r#"chanels = 3"#, &[
        r#"sip-profiles/external.toml:9:1: error: unknown key `chanels` in a trunk (the keys here are `name`, `was`, `proxy`, `from`, `tls`, `domain`, `register`, `auth`, `realm`, `max-channels`, `max-cps`, `wait`, `answer-timeout`, `breaker`, `number-format`, `user-phone`, `caller-id`, `caller-number`, `caller-name`, `trusted`, `redirect`, `stir`, `transfer`, `options-ping`, `prack`, `session-timer` and `early-media`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"context = "internal"
"#, r#""#, &[
        r#"dialplans/internal.toml:1:1: error: a dialplan file needs `context` (Name of the context.)"#,
        r#"sip-profiles/internal.toml:3:12: error: there is no context `internal` (there is: inbound)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ext:4}""#, r#"{ext:x}""#, &[
        r#"dialplans/internal.toml:4:10: error: `{ext:x}` keeps 1 to 32 digits: write `{ext:4}` for four (for example `+442071838{ext:4}`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"number = "{ext:4}""#, r#"number = "_1XXX""#, &[
        r#"dialplans/internal.toml:4:10: error: patterns begin without `_` here: leave it out (for example `+442071838{ext:4}`)"#,
        r#"dialplans/internal.toml:5:17: error: nothing sets the variable `ext`"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"number = "{ext:4}""#, r#"nubmer = "{ext:4}""#, &[
        r#"dialplans/internal.toml:4:1: error: unknown key `nubmer` in a rule (did you mean `number`?)"#,
        r#"dialplans/internal.toml:5:17: error: nothing sets the variable `ext`"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"from = "[""#, &[
        r#"dialplans/internal.toml:6:8: error: the `[` is never closed (for example `+442071838{ext:4}`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"trunk = "acne""#, &[
        r#"dialplans/internal.toml:6:9: error: there is no trunk `acne` (did you mean `acme`?)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"header = { "X Y" = "1" }"#, &[
        r#"dialplans/internal.toml:6:12: error: `X Y` is not the name of a header"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"header = { X-Y = "re:(" }"#, &[
        r#"dialplans/internal.toml:6:18: error: not a regular expression: unclosed group"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"hours = "ofice""#, &[
        r#"dialplans/internal.toml:6:9: error: there are no hours `ofice`"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"language = 5"#, &[
        r#"dialplans/internal.toml:6:12: error: `language` must be a string (this is a whole number)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"if = "{ext} = 5""#, &[
        r#"dialplans/internal.toml:6:6: error: one `=` compares nothing: write `==` (for example `{language} == 'de'`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"if = "{exit} == 5""#, &[
        r#"dialplans/internal.toml:6:6: error: nothing sets the variable `exit` (did you mean `ext`?)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"closed = []"#, &[
        r#"dialplans/internal.toml:6:1: warning: `closed` never runs: the rule has no `hours`"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ paly = "welcome" }"#, &[
        r#"dialplans/internal.toml:5:10: error: unknown step `paly` (did you mean `play`?)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ play = "welcom" }"#, &[
        r#"dialplans/internal.toml:5:17: error: there is no prompt `welcom` (did you mean `welcome`?)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ play = 5 }"#, &[
        r#"dialplans/internal.toml:5:17: error: `play` must be a string (for example `"{ext}"`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ answer = true, play = "welcome" }"#, &[
        r#"dialplans/internal.toml:5:8: error: `answer` and `play` are two steps (give each its own braces: `{ … }, { … }`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ answer = 1 }"#, &[
        r#"dialplans/internal.toml:5:19: error: `answer` must be `true` or `false` (this is a whole number)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ }"#, &[
        r#"dialplans/internal.toml:5:8: error: this step is empty"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ voicemail = "1001" }"#, &[
        r#"dialplans/internal.toml:5:10: error: step `voicemail` is not available in this version"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ callback = true }"#, &[
        r#"dialplans/internal.toml:5:10: error: step `callback` is not available in this version"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ queue = "suport" }"#, &[
        r#"dialplans/internal.toml:5:18: error: there is no queue `suport` (did you mean `support`?)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ queue = "support", priority = 5 }"#, &[
        r#"dialplans/internal.toml:5:40: error: `priority` must be a duration with its unit, in quotes (write the unit: `priority = "5s"`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ queue = "support", skills = { german = 11 } }"#, &[
        r#"dialplans/internal.toml:5:40: warning: nobody has the skill `german`"#,
        r#"dialplans/internal.toml:5:49: error: `german` must be from 1 to 10"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ queue = "support", skills = { german = 3 } }"#, &[
        r#"dialplans/internal.toml:5:40: warning: nobody has the skill `german`"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ menu = "main" }"#, &[
        r#"dialplans/internal.toml:5:17: error: there is no menu `main`"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ goto = "nowhere" }"#, &[
        r#"dialplans/internal.toml:5:17: error: there is no context `nowhere` (there is: inbound, internal)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ goto = "inbound/support" }"#, &[
        r#"dialplans/internal.toml:5:17: error: context `inbound` has no rule `support` (there is: support line)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ dial = "{exit}" }"#, &[
        r#"dialplans/internal.toml:5:17: error: nothing sets the variable `exit` (did you mean `ext`?)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ dial = "1009" }"#, &[
        r#"dialplans/internal.toml:5:17: error: there is no extension or group `1009` (did you mean `1001`?)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ dial = "{ext}", timeout = "10m" }"#, &[
        r#"dialplans/internal.toml:5:36: error: `timeout` must be from 1s to 3m"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ dial = "{ext}", mode = "all" }"#, &[
        r#"dialplans/internal.toml:5:33: error: `mode` cannot be `all` (expected `parallel`, `serial` or `first`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ dial = "{ext}", trunk = "acne" }"#, &[
        r#"dialplans/internal.toml:5:34: error: there is no trunk `acne` (did you mean `acme`?)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ dial = "{ext}", tiemout = "10s" }"#, &[
        r#"dialplans/internal.toml:5:26: error: unknown key `tiemout` in a `dial` step (did you mean `timeout`?)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ dial = "sip:" }"#, &[
        r#"dialplans/internal.toml:5:17: error: `sip:` is not a SIP URI"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ hangup = "bussy" }"#, &[
        r#"dialplans/internal.toml:5:19: error: `hangup` cannot be `bussy` (did you mean `busy`?)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ hangup = 200 }"#, &[
        r#"dialplans/internal.toml:5:19: error: `hangup` must be from 400 to 699"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ ring = "long" }"#, &[
        r#"dialplans/internal.toml:5:17: error: `long` is not a duration (units are `ms`, `s`, `m`, `h` and `d`: `"20s"`, `"1h30m"`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ say = { number = "1", digits = "2" } }"#, &[
        r#"dialplans/internal.toml:5:16: error: `say` speaks one thing (for example `{ say = { digits = "{ext}" } }`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ say = { date = true } }"#, &[
        r#"dialplans/internal.toml:5:18: error: `date` is not available in this version"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ collect = "1x" }"#, &[
        r#"dialplans/internal.toml:5:20: error: `1x` is not the name of a variable (for example `account`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ collect = "pin", max-digits = 2, min-digits = 4 }"#, &[
        r#"dialplans/internal.toml:5:56: error: at most 2 digits are taken, so 4 never come"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ set = { "1" = "x" } }"#, &[
        r#"dialplans/internal.toml:5:18: error: `1` is not the name of a variable"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ set = { x = "{" } }"#, &[
        r#"dialplans/internal.toml:5:22: error: the `{` is never closed (for example `{ext}`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ feature = "login" }"#, &[
        r#"dialplans/internal.toml:5:20: error: `feature` cannot be `login` (expected `queue-login`, `queue-logout`, `ready`, `not-ready`, `end-wrap`, `do-not-disturb-on`, `do-not-disturb-off`, `ring-on`, `ring-off`, `echo` or `time`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ feature = "ready", reason = "x" }"#, &[
        r#"dialplans/internal.toml:5:29: error: `reason` says nothing beside `ready`"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ wait = "0s" }"#, &[
        r#"dialplans/internal.toml:5:17: error: `wait` must be from 1ms to 1h"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#"{ hangup = "busy" }, { answer = true }"#, &[
        r#"dialplans/internal.toml:5:29: warning: this step never runs: the one before it ends the list"#,
    ]),
    (r#"dialplans/internal.toml"#, r#"{ dial = "{ext}" }"#, r#""answer""#, &[
        r#"dialplans/internal.toml:5:8: error: a step is a table (for example `{ answer = true }`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"[hours.office]
open = ["mon-fry 09:00-17:00"]"#, &[
        r#"dialplans/internal.toml:7:9: error: `mon-fry` is not days: write `mon-fri`, `sat,sun`, `2026-12-25`, `2026-12-24..2026-12-26` or `12-25` (for example `mon-fri 09:00-17:30`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"[hours.office]
zone = "UTC""#, &[
        r#"dialplans/internal.toml:6:1: error: a table of opening hours needs `open` (Open then. A date replaces what the weekday says.)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"[menu.main]
prompt = "main-menu""#, &[
        r#"dialplans/internal.toml:6:7: error: menu `main` has no choices ("1" = [ { queue = "support" } ])"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"[menu.main]
prompt = "main-menu"
retires = 3
"1" = []"#, &[
        r#"dialplans/internal.toml:8:1: error: unknown key `retires` in a menu (did you mean `retries`?)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"[group.desk]
extensions = ["1009"]"#, &[
        r#"dialplans/internal.toml:7:15: error: there is no extension `1009` (did you mean `1001`?)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"[group.1001]
extensions = ["1001"]"#, &[
        r#"dialplans/internal.toml:6:8: error: group `1001` has the name of an extension: `dial` cannot tell them apart"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"[group.desk]
extensions = []
strategy = "random""#, &[
        r#"dialplans/internal.toml:7:14: error: group `desk` is empty"#,
        r#"dialplans/internal.toml:8:12: error: `strategy` cannot be `random` (expected `parallel`, `serial` or `first`)"#,
    ]),
    (r#"dialplans/internal.toml"#, r#""#, r#"[[rule]]
name = "again"
number = "{other:4}"
do = [ { hangup = "busy" } ]"#, &[
        r#"dialplans/internal.toml:6:1: warning: rule `again` can never match: rule `rule 1` at dialplans/internal.toml:3 takes every call of it"#,
    ]),
    (r#"dialplans/inbound.toml"#, r#""#, r#"[rule.x]
do = []"#, &[
        r#"dialplans/inbound.toml:7:7: error: unknown key `x` in a rule (the keys here are `name`, `number`, `from`, `trunk`, `header`, `hours`, `language`, `if`, `do` and `closed`)"#,
    ]),
    (r#"directory/people.toml"#, r#"extension = "1001""#, r#"extension = "+4420""#, &[
        r#"directory/people.toml:2:13: error: `+4420` looks like a telephone number: those belong to `number` (for example `1001`)"#,
        r#"queues/support.toml:2:26: error: there is no extension `1001` (there is: +4420)"#,
    ]),
    (r#"directory/people.toml"#, r#"extension = "1001""#, r#"extension = 1001"#, &[
        r#"directory/people.toml:2:13: error: `extension` must be a string (for example `"1001"`)"#,
        r#"queues/support.toml:2:26: error: there is no extension `1001`"#,
    ]),
    (r#"directory/people.toml"#, r#"name = "Ada Example"
"#, r#""#, &[
        r#"directory/people.toml:1:1: error: a user needs `name` (Display name.)"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"email = """#, &[
        r#"directory/people.toml:5:9: error: `email` is empty"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"ha1-md5 = "xyz""#, &[
        r#"directory/people.toml:4:12: error: give `password` or its hashes, not both (a hash stands instead of the password)"#,
        r#"directory/people.toml:5:11: error: this is not a hash of 32 hexadecimal digits (for example `939e7578ed9e3c518a452acee763bce9`)"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"ha1-md5 = "939e7578ed9e3c518a452acee763bce9""#, &[
        r#"directory/people.toml:4:12: error: give `password` or its hashes, not both (a hash stands instead of the password)"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"number = "020 7183""#, &[
        r#"directory/people.toml:5:10: error: `020 7183` is not an international number (for example `+442071838750`)"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"max-concurrent-calls = 0"#, &[
        r#"directory/people.toml:5:24: error: `max-concurrent-calls` must be from 1 to 100"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"[[list]]
name = "desk"
members = ["1001", "1999"]"#, &[
        r#"directory/people.toml:7:20: error: there is no extension `1999` (there is: 1001)"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"[[list]]
name = "1001"
members = ["1001"]"#, &[
        r#"directory/people.toml:6:8: error: the list `1001` has the name of an extension"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"[[list]]
name = "desk"
members = []"#, &[
        r#"directory/people.toml:7:11: warning: nobody is on the list `desk`"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"hold-music = "jazz""#, &[
        r#"sip-profiles/internal.toml:5:14: error: there are no sound files for music `jazz` (there is: default, none)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"hold-music = false"#, &[
        r#"sip-profiles/internal.toml:5:14: error: `hold-music` must be a string (for example `"support"`)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#""#, r#"unsolicited-mwi = "yes""#, &[
        r#"sip-profiles/internal.toml:5:19: error: `unsolicited-mwi` must be `true` or `false` (this is a string)"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"role = "boss""#, &[
        r#"directory/people.toml:5:8: error: `role` cannot be `boss` (expected `agent`, `supervisor`, `admin` or `account-admin`)"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"skills = { german = 0 }"#, &[
        r#"directory/people.toml:5:21: error: `german` must be from 1 to 10"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"was = "+1""#, &[
        r#"directory/people.toml:5:7: error: `+1` looks like a telephone number: those belong to `number` (for example `1001`)"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"pasword = "x""#, &[
        r#"directory/people.toml:5:1: error: unknown key `pasword` in a user (did you mean `password`?)"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"[[user.device]]
ring = true"#, &[
        r#"directory/people.toml:5:1: error: a device needs `name` (Unique for the user.)"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"[[user.device]]
name = "a"
number = "5""#, &[
        r#"directory/people.toml:7:10: error: `5` is not an international number (for example `+442071838750`)"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"[[user]]
extension = "1001"
name = "Twin""#, &[
        r#"directory/people.toml:6:13: error: extension `1001` is defined twice (it is already at directory/people.toml:2)"#,
    ]),
    (r#"directory/people.toml"#, r#""#, r#"[users]"#, &[
        r#"directory/people.toml:5:2: error: unknown key `users` in a directory file (did you mean `user`?)"#,
    ]),
    (r#"queues/support.toml"#, r#"name = "support"
"#, r#""#, &[
        r#"dialplans/inbound.toml:6:18: error: there is no queue `support`"#,
        r#"queues/support.toml:1:1: error: a queue needs `name` (Name of the queue.)"#,
    ]),
    (r#"queues/support.toml"#, r#"agents = [ { extension = "1001" } ]"#, r#"agents = [ { extension = "1009" } ]"#, &[
        r#"queues/support.toml:2:26: error: there is no extension `1009` (did you mean `1001`?)"#,
    ]),
    (r#"queues/support.toml"#, r#"agents = [ { extension = "1001" } ]"#, r#"agents = [ { extension = "1001" }, { extension = "1001" } ]"#, &[
        r#"queues/support.toml:2:50: error: `1001` serves queue `support` twice"#,
    ]),
    (r#"queues/support.toml"#, r#"agents = [ { extension = "1001" } ]
"#, r#""#, &[
        r#"queues/support.toml:1:8: warning: nobody serves queue `support` (agents = [ { extension = "1001" } ])"#,
    ]),
    (r#"queues/support.toml"#, r#"agents = [ { extension = "1001" } ]"#, r#"agents = [ { extension = "1001", level = 0, rank = 0, delay = 5, enabled = 1 } ]"#, &[
        r#"queues/support.toml:2:42: error: `level` must be from 1 to 100"#,
        r#"queues/support.toml:2:52: error: `rank` must be from 1 to 10000"#,
        r#"queues/support.toml:2:63: error: `delay` must be a duration with its unit, in quotes (write the unit: `delay = "5s"`)"#,
        r#"queues/support.toml:2:76: error: `enabled` must be `true` or `false` (this is a whole number)"#,
    ]),
    (r#"queues/support.toml"#, r#"agents = [ { extension = "1001" } ]"#, r#"agents = ["1001"]"#, &[
        r#"queues/support.toml:2:11: error: `agents` must be a list of tables, and a string stands in it (write `{ extension = "1001" }`)"#,
    ]),
    (r#"queues/support.toml"#, r#"agents = [ { extension = "1001" } ]"#, r#"agents = { extension = "1001" }"#, &[
        r#"queues/support.toml:2:10: error: `agents` must be a list of tables, not a table (put it in brackets: `agents = [ { … } ]`)"#,
    ]),
    (r#"queues/support.toml"#, r#"agents = [ { extension = "1001" } ]"#, "[agents]\nextension = \"1001\"", &[
        r#"queues/support.toml:2:1: error: `agents` must be a list of tables, not a table (write `[[agents]]` with two brackets)"#,
    ]),
    (r#"queues/support.toml"#, r#"agents = [ { extension = "1001" } ]"#, r#"agents = "1001""#, &[
        r#"queues/support.toml:2:10: error: `agents` must be a list of tables, not a string (write `agents = [ { extension = … } ]`)"#,
    ]),
    (r#"queues/support.toml"#, r#"agents = ["#, "service-level = [ \"20s\", 0.8 ]\nagents = [", &[
        r#"queues/support.toml:2:17: error: `service-level` must be a table, not a list (write `service-level = { within = … }`; its keys are `within` and `target`)"#,
    ]),
    (r#"strowger.toml"#, "[log]", "[[log]]", &[
        r#"strowger.toml:10:1: error: `log` must be a table, not a list (write `[log]` with one bracket, and only once)"#,
    ]),
    (r#"sip-profiles/internal.toml"#, r#"listen = "udp:"#, r#"listen = "upd:"#, &[
        r#"sip-profiles/internal.toml:2:10: error: `upd` is not a transport: `udp`, `tcp`, `tls`, `ws` or `wss`; did you mean `udp`? (for example `udp:0.0.0.0:5060`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"strategy = "longest_idle""#, &[
        r#"queues/support.toml:3:12: error: `strategy` cannot be `longest_idle` (did you mean `longest-idle`?)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"ring-timeout = "0s""#, &[
        r#"queues/support.toml:3:16: error: `ring-timeout` must be from 1s to 3m"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"wrap-up = "15""#, &[
        r#"queues/support.toml:3:11: error: `15` has no unit (units are `ms`, `s`, `m`, `h` and `d`: `"20s"`, `"1h30m"`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"service-level = { within = "0s", target = 2 }"#, &[
        r#"queues/support.toml:3:28: error: `within` must be from 1s to 1d"#,
        r#"queues/support.toml:3:43: error: `target` must be from 0 to 1"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"short-abandon = 5"#, &[
        r#"queues/support.toml:3:17: error: `short-abandon` must be a duration with its unit, in quotes (write the unit: `short-abandon = "5s"`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"music = "jazz""#, &[
        r#"queues/support.toml:3:9: error: there are no sound files for music `jazz` (there is: default, none)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"announce = { every = "1s", position = "yes" }"#, &[
        r#"queues/support.toml:3:22: error: `every` must be from 5s to 1h"#,
        r#"queues/support.toml:3:39: error: `position` must be `true` or `false` (this is a string)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"max-waiting = -1"#, &[
        r#"queues/support.toml:3:15: error: `max-waiting` must be from 1 to 1000000"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"max-wait = "never""#, &[
        r#"queues/support.toml:3:12: error: `never` is not a duration (units are `ms`, `s`, `m`, `h` and `d`: `"20s"`, `"1h30m"`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"priority = "1w""#, &[
        r#"queues/support.toml:3:12: error: `w` is not a unit of time (units are `ms`, `s`, `m`, `h` and `d`: `"20s"`, `"1h30m"`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"callback = { offer-after = "60s" }"#, &[
        r#"queues/support.toml:3:28: warning: no `digit` says which key asks for a callback: callers are not offered one"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"callback = { digit = "12" }"#, &[
        r#"queues/support.toml:3:22: error: `12` is not one key of a telephone (for example `1`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"callback = { over-cap = "hold" }"#, &[
        r#"queues/support.toml:3:25: error: `over-cap` cannot be `hold` (expected `missed-unanswered`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"callback = { promised = "promise" }"#, &[
        r#"queues/support.toml:3:25: error: there is no prompt `promise`"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"callback = { retries = [ "soon" ] }"#, &[
        r#"queues/support.toml:3:26: error: `soon` is not a duration (units are `ms`, `s`, `m`, `h` and `d`: `"20s"`, `"1h30m"`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"overflow = [ { when = "bored", do = [] } ]"#, &[
        r#"queues/support.toml:3:23: error: `bored` is not a reason to leave a queue (for example `waited 20m`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"overflow = [ { when = "waited", do = [] } ]"#, &[
        r#"queues/support.toml:3:23: error: `waited` needs a time, like `waited 20m` (for example `waited 20m`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"overflow = [ { when = "full" } ]"#, &[
        r#"queues/support.toml:3:14: error: an overflow rule needs `do` (Its steps then; after them, those after the `queue` step.)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"rona = { after = 0, action = "punish" }"#, &[
        r#"queues/support.toml:3:18: error: `after` must be from 1 to 100"#,
        r#"queues/support.toml:3:30: error: `punish` is not an action (for example `not-ready`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"rona = { action = "cooldown" }"#, &[
        r#"queues/support.toml:3:19: error: `cooldown` needs a time, like `cooldown 30s` (for example `not-ready`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"decline-reason-required = "no""#, &[
        r#"queues/support.toml:3:27: error: `decline-reason-required` must be `true` or `false` (this is a string)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"ring-all-max = 0"#, &[
        r#"queues/support.toml:3:16: error: `ring-all-max` must be from 1 to 1000"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"was = "old name""#, &[
        r#"queues/support.toml:3:7: error: `old name` is not a name (for example `support`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"this is = not TOML"#, &[
        r#"queues/support.toml:3:6: error: this is not TOML: key with no value, expected `=`"#,
    ]),
];
