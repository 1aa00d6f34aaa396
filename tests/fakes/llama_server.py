"""llama.cpp's own HTTP server on a GGUF file, by xllamacpp, in an environment that holds just that.

python llama_server.py FILE --host 127.0.0.1 --port PORT
"""

import sys
import threading

import xllamacpp

if __name__ == "__main__":
    file, _, host, _, port = sys.argv[1:]
    settings = xllamacpp.CommonParams()
    settings.model.path, settings.hostnames, settings.port = file, [host], int(port)
    settings.n_ctx, settings.n_parallel, settings.use_jinja = 2048, 1, True
    server = xllamacpp.Server(settings)
    threading.Event().wait()
