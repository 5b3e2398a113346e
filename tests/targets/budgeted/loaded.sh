# Starts the service, loads it, and ends it: `sh loaded.sh PORT PATH...`; the exit code is that of the load.
port=$1
shift
uvicorn --log-level error --port "$port" service:app &
service=$!
python load.py "$port" "$@"
code=$?
kill -INT "$service"
wait "$service"
exit "$code"
