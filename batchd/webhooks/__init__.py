"""OpenAI's webhooks as a doorbell: a batch that one names is looked at sooner. Never the only way."""
