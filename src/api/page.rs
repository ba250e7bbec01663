//! Lists page by cursor: `?limit=50&cursor=…`, and `next` in the answer while there is more.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// Which part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// Most items, 1 to 1000; 100 by default.
    pub limit: Option<usize>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl Paging {
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX)
    }

    /// One page of a list that is at hand as a whole.
    pub(super) fn of<T>(&self, all: Vec<T>) -> Result<Page<T>, Problem> {
        let first = match &self.cursor {
            None => 0,
            Some(cursor) => cursor.parse::<usize>().map_err(|_| {
                Problem::bad_request(
                    "bad_cursor",
                    format!("`{cursor}` is no cursor; take `next` of the page before"),
                )
            })?,
        };
        let total = all.len();
        let items: Vec<T> = all.into_iter().skip(first).take(self.limit()).collect();
        let end = first + items.len();
        Ok(Page {
            items,
            next: (end < total).then(|| end.to_string()),
        })
    }
}

/// Part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Cursor of the next page, while there is one.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_join_to_the_whole_list() {
        let all: Vec<u32> = (0..25).collect();
        let mut cursor = None;
        let mut seen = Vec::new();
        loop {
            let paging = Paging {
                limit: Some(10),
                cursor,
            };
            let page = paging.of(all.clone()).expect("a page");
            seen.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
        let bad = Paging {
            limit: None,
            cursor: Some("x".to_owned()),
        };
        assert!(bad.of(all).is_err());
    }
}
