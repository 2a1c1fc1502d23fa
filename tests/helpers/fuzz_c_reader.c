/* A target for libFuzzer and for plain runs: any bytes as a model file.
 *
 *     cc -g -O1 -fsanitize=address,undefined -DPLAIN -I sklearn_xmr/include \
 *         tests/helpers/fuzz_c_reader.c -o fuzz -lm
 *     ./fuzz SEED COUNT MODEL...
 *
 * mutates the models COUNT times, half of them with checksums that are right, and asks
 * what opens for rows and texts. With clang and -fsanitize=fuzzer,address,undefined
 * instead of -DPLAIN, libFuzzer looks for mutations that reach new code:
 *
 *     ./fuzz -runs=COUNT -seed=SEED FOLDER-OF-MODELS */
#define _POSIX_C_SOURCE 200809L
#define XMR_MODEL_IMPLEMENTATION
#include "xmr_model.h"

static int try_bytes(const uint8_t *data, size_t size)
{
    static char path[64];
    static const int32_t indices[] = {0, 1, 5, 17, 40};
    static const float values[] = {0.5f, 0.1f, 0.7f, 1.0f, 0.2f};
    static const char *texts[] = {"a red bird", "\xff\xfe blue fish", "ΟΔΟΣ grün"};
    char error[200];
    xmr_ranked best[8];
    xmr_model *model;
    FILE *file;
    if (!*path)
        snprintf(path, sizeof path, "%s/fuzz_c_reader.%ld",
                 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", (long)getpid());
    file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file))
        abort();
    model = xmr_open(path, 0, error, sizeof error);
    if (!model) {
        unlink(path);
        return 0;
    }
    for (int n = 0; n <= 5; n++)
        xmr_rank_row(model, indices, values, n, 8, best, error, sizeof error);
    for (int i = 0; i < 3; i++)
        xmr_rank_text(model, texts[i], strlen(texts[i]), 8, best, error, sizeof error);
    for (int64_t label = -1; label < 9; label++) {
        size_t length, sum = 0;
        const char *name = xmr_label_name(model, label, &length);
        for (size_t i = 0; name && i < length; i++)
            sum += (uint8_t)name[i];
        (void)sum;
    }
    xmr_close(model);
    unlink(path);
    return 1;
}

enum { PREAMBLE = 32, ALIGNMENT = 64 };

static void put(uint8_t *to, int n_bytes, uint64_t value)
{
    for (int i = 0; i < n_bytes; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

/* The checksum of the header, as it is now. */
static void make_right(uint8_t *data, size_t header)
{
    put(data + 12, 4, xm_crc32(data + PREAMBLE, (int64_t)header));
}

#ifndef PLAIN

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

/* Where the arrays begin, behind a header of so many bytes. */
static size_t body_at(size_t header)
{
    return (PREAMBLE + header + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Another text of the header, before the same arrays; its length and checksum are right. */
static size_t mutate_header(uint8_t *data, size_t size, size_t most, size_t header)
{
    const size_t body = size - body_at(header);
    uint8_t *arrays = (uint8_t *)malloc(body + 1);
    size_t start;
    if (!arrays)
        abort();
    memcpy(arrays, data + size - body, body);
    header = LLVMFuzzerMutate(data + PREAMBLE, header, most - body - PREAMBLE - ALIGNMENT);
    start = body_at(header);
    memset(data + PREAMBLE + header, 0, start - PREAMBLE - header);
    memcpy(data + start, arrays, body);
    free(arrays);
    put(data + 16, 8, header);
    put(data + 24, 8, start + body);
    make_right(data, header);
    return start + body;
}

/* Mutations of all bytes end at the checksum; most are of the header or of the arrays. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
    const size_t header = size > PREAMBLE ? (size_t)xm_little(data + 16, 8) : size;
    size_t start;
    if (header >= size || body_at(header) > size || seed % 8 == 0)
        return LLVMFuzzerMutate(data, size, most);
    if (seed % 8 < 5 && size + 2 * ALIGNMENT < most)
        return mutate_header(data, size, most, header);
    size = body_at(header);
    start = body_at(header);
    size = start + LLVMFuzzerMutate(data + start, size - start, most - start);
    put(data + 24, 8, size);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_bytes(data, size);
    return 0;
}

#else

static uint64_t state;

static uint64_t draw(uint64_t n)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (state >> 33) % n;
}

static uint8_t *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data;
    if (!file || fseek(file, 0, SEEK_END))
        exit(2);
    *size = (size_t)ftell(file);
    rewind(file);
    data = (uint8_t *)malloc(*size);
    if (!data || fread(data, 1, *size, file) != *size)
        exit(2);
    fclose(file);
    return data;
}

/* Changed bytes anywhere; in the header also digits, which stay digits. */
static void mutate(uint8_t *data, size_t size, size_t header)
{
    for (uint64_t changes = 1 + draw(4); changes > 0; changes--) {
        size_t at = draw(size);
        if (draw(3) == 0)
            at = 32 + draw(header);
        if (at >= 32 && at < 32 + header && data[at] >= '0' && data[at] <= '9' && draw(4))
            data[at] = (uint8_t)('0' + draw(10));
        else if (draw(2))
            data[at] = (uint8_t)draw(256);
        else
            data[at] = draw(2) ? 0xff : 0;
    }
}

int main(int n_arguments, char **arguments)
{
    long opened = 0, count;
    if (n_arguments < 4)
        return 2;
    state = strtoull(arguments[1], NULL, 10) * 2654435761u + 1;
    count = strtol(arguments[2], NULL, 10);
    for (long i = 0; i < count; i++) {
        size_t size, header;
        uint8_t *data =
            read_whole(arguments[3 + draw((uint64_t)(n_arguments - 3))], &size);
        header = (size_t)xm_little(data + 16, 8);
        mutate(data, size, header);
        if (draw(2) && header + 32 <= size)
            make_right(data, header);
        if (draw(20) == 0)
            size = draw(size);
        opened += try_bytes(data, size);
        free(data);
    }
    printf("%ld mutations, %ld opened\n", count, opened);
    return 0;
}

#endif
