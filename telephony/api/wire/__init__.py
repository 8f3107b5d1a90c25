"""The shapes of requests and replies, as the contract has them."""
