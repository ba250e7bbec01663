//! A client of the server's HTTP API.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

/// The API of one server, with its admin token.
#[derive(Clone)]
pub struct Api {
    base: String,
    token: String,
    agent: Agent,
}

/// Status and body of an answer; `null` when the body is not JSON.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub text: String,
}

impl Api {
    pub fn new(listen: SocketAddr, token: &str) -> Api {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(10)))
            .proxy(None)
            .build()
            .new_agent();
        Api {
            base: format!("http://{listen}"),
            token: token.trim().to_string(),
            agent,
        }
    }

    /// The same API asked with another token.
    pub fn with_token(&self, token: &str) -> Api {
        Api {
            token: token.to_string(),
            ..self.clone()
        }
    }

    /// GET of a path below `/api/v1`; must be 200.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let answer = self.try_get(&format!("/api/v1{path}"));
        assert_eq!(answer.status, 200, "GET {path}: {answer:?}");
        answer.body
    }

    /// All items of a list below `/api/v1`, page by page.
    #[track_caller]
    pub fn list(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut query = "limit=1000".to_string();
        loop {
            let page = self.get(&format!("{path}?{query}"));
            items.extend(
                page["items"]
                    .as_array()
                    .unwrap_or_else(|| panic!("GET {path}: a list has `items`: {page}"))
                    .iter()
                    .cloned(),
            );
            match page["next"].as_str() {
                Some(cursor) => query = format!("limit=1000&cursor={cursor}"),
                None => return items,
            }
        }
    }

    /// GET of any path.
    pub fn try_get(&self, path: &str) -> Answer {
        let request = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token));
        read(request.call(), path)
    }

    /// POST of a path below `/api/v1`; any 2xx will do.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.try_post(path, body);
        assert!(
            (200..300).contains(&answer.status),
            "POST {path}: {answer:?}"
        );
        answer.body
    }

    pub fn try_post(&self, path: &str, body: &Value) -> Answer {
        let request = self
            .agent
            .post(format!("{}/api/v1{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token));
        read(request.send_json(body), path)
    }

    pub fn try_delete(&self, path: &str) -> Answer {
        let request = self
            .agent
            .delete(format!("{}/api/v1{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token));
        read(request.call(), path)
    }

    /// PUT of a path below `/api/v1`; any 2xx will do.
    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Value {
        let answer = self.try_put(path, body);
        assert!(
            (200..300).contains(&answer.status),
            "PUT {path}: {answer:?}"
        );
        answer.body
    }

    pub fn try_put(&self, path: &str, body: &Value) -> Answer {
        let request = self
            .agent
            .put(format!("{}/api/v1{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token));
        read(request.send_json(body), path)
    }
}

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>, path: &str) -> Answer {
    let mut answer = answer.unwrap_or_else(|fault| panic!("{path}: {fault}"));
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string().unwrap_or_default();
    Answer {
        status,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
        text,
    }
}
