/* A target for libFuzzer and for plain runs: any bytes as a model file.
 *
 *     cc -g -O1 -fsanitize=address,undefined -DPLAIN -I sklearn_xmr/include \
 *         tests/helpers/fuzz_c_reader.c -o fuzz -lm
 *     ./fuzz SEED COUNT MODEL...
 *
 * mutates the models COUNT times, half of them with checksums that are right, and asks
 * what opens for rows and texts. With clang, -fsanitize=fuzzer instead of -DPLAIN. */
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
        snprintf(path, sizeof path, "/tmp/fuzz_c_reader.%ld", (long)getpid());
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

#ifndef PLAIN

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

static void make_right(uint8_t *data, size_t header)
{
    const uint32_t crc = xm_crc32(data + 32, (int64_t)header);
    for (int i = 0; i < 4; i++)
        data[12 + i] = (uint8_t)(crc >> 8 * i);
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
