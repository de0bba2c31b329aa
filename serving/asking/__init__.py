"""How a model is asked: the request and its checks, replicas, cache, retries, the classifier and the embedder."""
