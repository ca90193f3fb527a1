# What the tests bring along: static binaries, built before. The context is the
# folder that they are in.
FROM scratch
COPY . /
USER 65532:65532
ENTRYPOINT ["/broker"]
