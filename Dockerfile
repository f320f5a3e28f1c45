# The benchmark on a processor, with the small build of torch. Without arguments it runs the main job:
#     docker build -t fvbench . && docker run -v "$PWD/out:/out" fvbench
FROM python:3.12-slim
ENV PIP_NO_CACHE_DIR=1 PIP_CONSTRAINT=/bench/constraints.txt FVBENCH_CACHE=/cache
WORKDIR /bench
COPY constraints.txt .
RUN python -m pip install torch --index-url https://download.pytorch.org/whl/cpu
COPY . .
RUN python -m pip install .
WORKDIR /
ENTRYPOINT ["fvbench"]
CMD ["run", "--bank", "default,default-order", "--out", "/out"]
